import { existsSync } from 'node:fs';
import path from 'node:path';
import { read, root } from '../tidy/sources.js';
import { declarationsOf, reexportsOf, type Declaration } from './declarations.js';

interface Entry {
  /** The document in `docs/api`. */
  readonly document: string;
  readonly specifier: string;
  readonly index: string;
}

const entries: readonly Entry[] = [
  { document: 'messaging.md', specifier: '@torcello/messaging', index: 'packages/messaging/src/index.ts' },
  {
    document: 'messaging-testing.md',
    specifier: '@torcello/messaging/testing',
    index: 'packages/messaging/src/testing/index.ts',
  },
  {
    document: 'messaging-murano-common.md',
    specifier: '@torcello/messaging/murano-common',
    index: 'packages/messaging/src/murano-common/index.ts',
  },
  {
    document: 'driver-amqp091.md',
    specifier: '@torcello/driver-amqp091',
    index: 'packages/driver-amqp091/src/index.ts',
  },
  { document: 'driver-amqp10.md', specifier: '@torcello/driver-amqp10', index: 'packages/driver-amqp10/src/index.ts' },
  { document: 'otel.md', specifier: '@torcello/otel', index: 'packages/otel/src/index.ts' },
];

/** The documents of `docs/api` as the sources want them, by name. */
export function apiReference(): ReadonlyMap<string, string> {
  return new Map([['README.md', contents()], ...entries.map((entry) => [entry.document, documentOf(entry)] as const)]);
}

/** Exported names without a docstring. */
export function undocumented(): readonly string[] {
  return entries.flatMap((entry) =>
    exportsOf(entry)
      .filter(({ docstring, code }) => docstring === '' && !isObvious(code))
      .map(({ name }) => `${entry.specifier}: ${name}`),
  );
}

/** A plain record of options or facts, whose members say what they are. */
function isObvious(code: string): boolean {
  return /^(interface|type) /.test(code);
}

function contents(): string {
  const lines = entries.map(({ document, specifier }) => `- [\`${specifier}\`](${document})`);
  return [
    '# API reference',
    '',
    written,
    '',
    'What the packages of the library export, with their docstrings.',
    '',
    ...lines,
    '',
  ].join('\n');
}

const written = '<!-- written by scripts/docs.mjs from the docstrings; a test compares -->';

function documentOf(entry: Entry): string {
  const sections = exportsOf(entry).map(({ name, docstring, code }) =>
    [`## ${name}`, '', ...(docstring === '' ? [] : [docstring, '']), '```ts declaration', code, '```', ''].join('\n'),
  );
  return [`# ${entry.specifier}`, '', written, '', ...sections].join('\n');
}

/** In the order of the index file, which goes by subject. */
function exportsOf({ index }: Entry): readonly Declaration[] {
  return reexportsOf(read(index)).flatMap(({ names, from }) => names.flatMap((name) => find(name, from, index) ?? []));
}

function find(name: string, from: string, importer: string): Declaration | undefined {
  const file = fileOf(from, importer);
  if (file === undefined) return undefined;
  const source = read(file);
  const here = declarationsOf(source).get(name);
  if (here !== undefined) return here;
  const further = reexportsOf(source).find(({ names }) => names.includes(name));
  return further === undefined ? undefined : find(name, further.from, file);
}

/** Undefined for packages of others. */
function fileOf(from: string, importer: string): string | undefined {
  if (from.startsWith('.')) return path.posix.join(path.posix.dirname(importer), from).replace(/\.js$/, '.ts');
  const [, name = '', entry] = /^@torcello\/([^/]+)(?:\/(.+))?$/.exec(from) ?? [];
  const file = `packages/${name}/src/${entry === undefined ? '' : `${entry}/`}index.ts`;
  return existsSync(path.join(root, file)) ? file : undefined;
}
