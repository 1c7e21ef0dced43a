import assert from 'node:assert/strict';
import test from 'node:test';
import { read } from '../tidy/sources.js';
import { declarationsOf } from './declarations.js';
import { apiReference, undocumented } from './reference.js';

for (const [name, text] of apiReference()) {
  test(`docs/api/${name} equals the docstrings (node scripts/docs.mjs writes it)`, () => {
    assert.ok(text.length > 200, 'the sources have been read');
    assert.equal(read(`docs/api/${name}`), text);
  });
}

test('every function, class and constant that is exported says what it is for', () => {
  assert.deepEqual(undocumented(), []);
});

test('a declaration is shown without what is behind it, and nothing private', () => {
  const source = `
    /** Says
     * two lines. */
    export function f<T>(a: { readonly b: T }): Promise<{ c: T }> { return secret; }
    export class C {
      readonly #p = 1;
      private z = 2;
      /** Asks. */
      ask(): string { return secret; }
      readonly n: number = 4;
    }
    export const c: number = secret();
    const hidden = 1;`;
  const found = declarationsOf(source);
  assert.deepEqual([...found.keys()], ['f', 'C', 'c']);
  assert.equal(found.get('f')?.docstring, 'Says\ntwo lines.');
  assert.equal(found.get('f')?.code, 'function f<T>(a: { readonly b: T }): Promise<{ c: T }>;');
  assert.equal(found.get('c')?.code, 'const c: number;');
  assert.match(found.get('C')?.code ?? '', /\/\*\* Asks\. \*\/\n {2}ask\(\): string;\n {2}readonly n: number;/);
  assert.doesNotMatch([...found.values()].map(({ code }) => code).join(), /secret|#p|private/);
});
