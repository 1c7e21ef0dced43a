import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { read, root } from './tidy/sources.js';

test('docs/settings.md equals the help of the programs (node scripts/docs.mjs writes it)', async () => {
  const file = pathToFileURL(path.join(root, 'scripts/lib/settings.mjs')).href;
  const { settingsDocument } = (await import(file)) as { settingsDocument: () => string };
  assert.equal(read('docs/settings.md'), settingsDocument());
});
