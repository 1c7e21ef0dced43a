import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { urlOptions } from '../src/settings.js';
import { document, documentFile } from './support/document.js';

const text = readFileSync(documentFile, 'utf8');

test('docs/drivers.md has the tables that the code has (write-document.ts writes them)', () => {
  assert.equal(text, document(text));
});

test('docs/drivers.md names every option of the URL', () => {
  for (const option of urlOptions) assert.ok(text.includes(`\`${option}\``), option);
});
