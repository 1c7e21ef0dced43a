import { packageSources } from './sources.js';

/** A row of a table in `docs/`: what the code says. */
interface LimitRow {
  readonly where: string;
  readonly name: string;
  readonly value: string;
  readonly bounds: string;
}

const written = '<!-- written by scripts/docs.mjs from the code; a test compares -->';

/** `docs/limits.md` as the code wants it. */
export function limitsDocument(): string {
  const rows = sourcesNamed('limits.ts').flatMap(({ path, text }) => limitRows(placeOf(path), text));
  return [
    '# Limits',
    '',
    written,
    '',
    'Every number that bounds something, by the package that enforces it. Refusals name the limit.',
    '',
    '| package | name | value | bounds |',
    '|---|---|---|---|',
    ...rows.map((row) => `| ${row.where} | \`${row.name}\` | ${row.value} | ${cell(row.bounds)} |`),
    '',
  ].join('\n');
}

/** `docs/errors.md` as the code wants it. */
export function errorsDocument(): string {
  const library = textOf('messaging/src/errors.ts');
  const api = textOf('api/src/errors.ts');
  return [
    '# Errors',
    '',
    written,
    '',
    'Programs look at codes; messages are for people and may change.',
    '',
    '## The messaging library',
    '',
    '`MessagingError.code`. *Damage* is what is broken besides the operation itself; *again* says whether the same operation may succeed later.',
    '',
    '| code | means | damage | again |',
    '|---|---|---|---|',
    ...libraryRows(library),
    '',
    '## The API',
    '',
    '`code` in the body of a refusal.',
    '',
    '| code | status | means |',
    '|---|---|---|',
    ...apiRows(api),
    '',
  ].join('\n');
}

function libraryRows(text: string): readonly string[] {
  const row = /^ {2}([A-Z_]+): \{\s*radius: '(\w+)',\s*retryable: (\w+),\s*means: '([^']+)',?\s*\}/gm;
  return [...text.matchAll(row)].map(
    ([, code, radius, retryable, means]) =>
      `| \`${code}\` | ${means} | ${radius} | ${retryable === 'true' ? 'yes' : 'no'} |`,
  );
}

function apiRows(text: string): readonly string[] {
  const row = /^ {2}(\w+): \{\s*status: (\d+),\s*title: '([^']+)',?\s*\}/gm;
  return [...text.matchAll(row)].map(([, code, status, title]) => `| \`${code}\` | ${status} | ${title} |`);
}

/** Both ways in which the packages write limits: with a unit and a text, or as a number under a docstring. */
function limitRows(where: string, text: string): readonly LimitRow[] {
  const named = [
    ...text.matchAll(/^ {2}(\w+): \{\s*value: ([\d_]+),\s*unit: '([^']+)',\s*bounds: (['"])([\s\S]*?)\4,?\s*\},?$/gm),
  ];
  if (named.length > 0) {
    return named.map(([, name = '', value = '', unit = '', , bounds = '']) => ({
      where,
      name,
      value: `${shown(value)} ${unit}`,
      bounds,
    }));
  }
  const bounds = docstrings(text);
  const values = text.matchAll(
    /(?<=^ {2}|^export const |[{,] )(\w+)(?:: number =|:) ([\d_]+(?: \* (?:\d[\d_]*|MiB|KiB))*)(?=[,;\s}])/gm,
  );
  return [...values].map(([, name = '', value = '']) => ({
    where,
    name,
    value: `${shown(value)}${unitOf(name)}`,
    bounds: bounds.get(name) ?? '',
  }));
}

/** First sentences of docstrings, by the name below them; a name without one shares that of the name above it. */
function docstrings(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let latest = '';
  for (const [, comment, name] of text.matchAll(/\/\*\*([\s\S]*?)\*\/|^(?: {2}|export const )(?:readonly )?(\w+):/gm)) {
    if (comment !== undefined) latest = comment.replaceAll(/\s*\n\s*\*?\s*/g, ' ').trim();
    else if (name !== undefined && !found.has(name)) found.set(name, latest);
  }
  return found;
}

function shown(expression: string): string {
  const factors = expression.split('*').map((factor) => {
    const word = factor.trim();
    return word === 'MiB' ? 1024 ** 2 : word === 'KiB' ? 1024 : Number(word.replaceAll('_', ''));
  });
  return factors.reduce((product, factor) => product * factor, 1).toLocaleString('en-US');
}

function unitOf(name: string): string {
  if (/Bytes/.test(name)) return ' bytes';
  return /Ms(Min|Max|First)?$/.test(name) ? ' ms' : '';
}

const cell = (text: string): string => text.replaceAll('|', String.raw`\|`);

/** The package, and the folder in it where a part has limits of its own: `agent murano`. */
function placeOf(path: string): string {
  const [name = '', , ...below] = path.split('/');
  return [name, ...below.slice(0, -1)].join(' ');
}

const sourcesNamed = (name: string) =>
  packageSources()
    .filter(({ path }) => path.endsWith(`/${name}`) && path.includes('/src/'))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));

function textOf(path: string): string {
  const source = packageSources().find((candidate) => candidate.path === path);
  if (source === undefined) throw new Error(`${path} is not there`);
  return source.text;
}
