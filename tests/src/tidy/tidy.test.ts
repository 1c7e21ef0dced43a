import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layerViolations, readLayers } from './layers.js';
import type { SourceFile } from './layers.js';
import { errorsDocument, limitsDocument } from './tables.js';
import { packageSources, read, trackedFiles } from './sources.js';

const layers = readLayers(read('docs/architecture.md'));

test('every import is allowed by the layer table', () => {
  assert.ok(layers.size >= 10, 'the table has been found');
  assert.deepEqual(layerViolations(layers, packageSources()), []);
});

const planted: readonly (SourceFile & { readonly says: string })[] = [
  { path: 'agent/src/runner.ts', text: "import { x } from '@torcello/driver-amqp091';", says: 'may not import' },
  { path: 'agent/src/runner.ts', text: "import { x } from '@torcello/conductor';", says: 'may not import' },
  { path: 'messaging/src/rpc.ts', text: "export { x } from '@torcello/broker';", says: 'may not import' },
  { path: 'amqp091/src/frames.ts', text: "import net from 'node:net';", says: 'may not use node:net' },
  { path: 'api/src/routes/a.ts', text: "import x from '../../../broker/src/queue.js';", says: 'leaves the package' },
  { path: 'stranger/src/a.ts', text: "import x from './b.js';", says: 'stands in no layer' },
];
for (const { says, ...file } of planted) {
  test(`a planted violation is found: ${file.path} with ${file.text}`, () => {
    const found = layerViolations(layers, [file]);
    assert.equal(found.length, 1);
    assert.match(found[0] ?? '', new RegExp(says.replaceAll('.', String.raw`\.`)));
  });
}

test('what the table allows is not reported: a driver in main.ts, a sub-path, a comment that speaks of an import', () => {
  const allowed: readonly SourceFile[] = [
    { path: 'agent/src/main.ts', text: "import { x } from '@torcello/driver-amqp091';" },
    { path: 'agent/src/letters.ts', text: "import { x } from '@torcello/contracts/agent';\n// from '@torcello/api'" },
  ];
  assert.deepEqual(layerViolations(layers, allowed), []);
});

test('index.ts only re-exports', () => {
  const offenders = packageSources()
    .filter(({ path }) => path.endsWith('/index.ts'))
    .filter(({ text }) =>
      withoutComments(text)
        .split(';')
        .some((statement) => !/^\s*(export\s+(type\s+)?(\{|\*)|$)/.test(statement)),
    );
  assert.deepEqual(
    offenders.map(({ path }) => path),
    [],
  );
});

test('no tracked file names a folder of one machine', () => {
  const pattern = new RegExp(`(^|[^A-Za-z0-9_.-])/(${['work', 'farm', 'home/[a-z]+'].join('|')})/`, 'm');
  const offenders = trackedFiles()
    .filter((file) => !/golden\/|package-lock\.json$|LICENSE$/.test(file))
    .filter((file) => pattern.test(read(file)));
  assert.deepEqual(offenders, []);
});

const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');

for (const [file, expected] of [
  ['docs/limits.md', limitsDocument()],
  ['docs/errors.md', errorsDocument()],
] as const) {
  test(`${file} equals the code (node scripts/docs.mjs writes it)`, () => {
    assert.ok(cells(expected).length > 20, 'the code has been read');
    assert.deepEqual(cells(read(file)), cells(expected));
  });
}

/** What stands in the tables, whatever the formatter did to their columns. */
function cells(markdown: string): readonly string[] {
  const rows = markdown.split('\n').filter((line) => line.startsWith('|') && !/^\|[\s:|-]+$/.test(line));
  return rows.map((row) =>
    row
      .split(/(?<!\\)\|/)
      .map((text) => text.trim())
      .join('|'),
  );
}
