import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesName, patternFromRegex, patternToRegex } from '../src/access/name-pattern.js';
import type { NamePattern } from '../src/access/name-pattern.js';

const globRows: readonly [glob: string, name: string, isMatch: boolean][] = [
  ['a', 'a', true],
  ['a', 'ab', false],
  ['a', '', false],
  ['', '', true],
  ['*', '', true],
  ['*', 'anything', true],
  ['a*', 'a', true],
  ['a*', 'abc', true],
  ['a*', 'ba', false],
  ['*c', 'abc', true],
  ['*c', 'abcd', false],
  ['a*c*e', 'abcde', true],
  ['a*c*e', 'abcdef', false],
  ['a**b', 'ab', true],
  ['.', 'x', false],
  ['web.1', 'web.1', true],
  ['web.1', 'webx1', false],
];

for (const [glob, name, isMatch] of globRows) {
  test(`the glob '${glob}' ${isMatch ? 'matches' : 'does not match'} '${name}'`, () => {
    assert.equal(matchesName([glob], name), isMatch);
  });
}

test('a glob full of stars stays cheap', () => {
  assert.equal(matchesName(['*a'.repeat(100)], 'a'.repeat(99) + 'b'.repeat(156)), false);
});

test('a pattern is the union of its globs, and none matches nothing', () => {
  assert.equal(matchesName(['a', 'b*'], 'bc'), true);
  assert.equal(matchesName([], ''), false);
});

const regexRows: readonly [regex: string, pattern: NamePattern | undefined][] = [
  ['', []],
  ['^$', []],
  ['.*', ['*']],
  ['^.*$', ['*']],
  ['^agents$', ['agents']],
  ['^agent\\.mbox\\.1f-2e$', ['agent.mbox.1f-2e']],
  ['^web-1\\.', ['web-1.*']],
  ['^web-1\\..*$', ['web-1.*']],
  ['^web-1\\..*', ['web-1.*']],
  ['^a\\*$', undefined],
  ['agents', ['*agents*']],
  ['agents$', ['*agents']],
  ['^(a|b)$', ['a', 'b']],
  ['^a.b$', undefined],
  ['^a+$', undefined],
  ['^a\\d$', undefined],
  ['^[a-z]*$', undefined],
  ['(a+)+$', undefined],
  ['^', ['*']],
  ['^{username}', undefined],
];

for (const [regex, pattern] of regexRows) {
  test(`the expression '${regex}' is ${pattern === undefined ? 'refused' : `read as ${JSON.stringify(pattern)}`}`, () => {
    assert.deepEqual(patternFromRegex(regex), pattern);
  });
}

test('a pattern is shown as an expression that is read as the same pattern', () => {
  for (const pattern of [[], ['*'], ['agents'], ['web.1.*'], ['a-b.c'], ['a', 'b*'], ['*a']]) {
    assert.deepEqual(patternFromRegex(patternToRegex(pattern)), pattern);
  }
});
