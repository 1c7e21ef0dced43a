import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';

const root = new URL('../../', import.meta.url);

test('every one of the 38 points in docs/oslo.md names tests that exist', () => {
  const document = readFileSync(new URL('docs/oslo.md', root), 'utf8');
  const rows = document.split('\n').filter((line) => /^\| \d+\. /.test(line));
  assert.deepEqual(
    rows.map((row) => Number.parseInt(row.slice(2), 10)),
    Array.from({ length: 38 }, (_, at) => at + 1),
  );
  const sources = testSources();
  for (const row of rows) {
    const names = [...row.matchAll(/(?<=[ (])_(.+?)_(?=[ ,)])/g)].map(([, name = '']) => name);
    assert.ok(names.length > 0, row);
    for (const name of names) assert.ok(sources.includes(name), `no test is named "${name}"`);
  }
});

function testSources(): string {
  const folders = ['tests/src/', 'packages/messaging/test/', 'packages/driver-amqp091/test/'];
  const conformance = 'packages/messaging/src/testing/conformance/';
  const files = [...folders, conformance].flatMap((folder) =>
    readdirSync(new URL(folder, root))
      .filter((name) => name.endsWith('.ts') && name !== 'oslo-index.test.ts')
      .map((name) => new URL(folder + name, root)),
  );
  return files.map((file) => readFileSync(file, 'utf8')).join('\n');
}
