import assert from 'node:assert/strict';
import { test } from 'node:test';
import { globsFromRegex, matchesName, patternToRegex } from '../src/access/name-pattern.js';
import type { NamePattern } from '../src/access/name-pattern.js';
import { emptyDisk, MemoryStore, startBroker } from '../src/index.js';
import { policyFrom } from '../src/policy/policy.js';
import { PolicyRefused } from '../src/policy/policy-refused.js';
import { RawClient } from './support/raw-client.js';
import { testBroker } from './support/test-broker.js';

const regexRows: readonly [regex: string, globs: NamePattern | undefined][] = [
  ['', ['*']],
  ['.*', ['*']],
  ['^', ['*']],
  ['^$', ['']],
  ['^a$', ['a']],
  ['a', ['*a*']],
  ['a$', ['*a']],
  ['^a\\.b\\.', ['a.b.*']],
  ['^a\\..*\\.z$', ['a.*.z']],
  ['^(a|b\\.)$', ['a', 'b.']],
  ['^(?:a|b)', ['a*', 'b*']],
  ['^a|b$', ['a*', '*b']],
  ['^a.b$', undefined],
  ['^a.+$', undefined],
  ['^(?!amq\\.).*', undefined],
  ['^[a-z]+$', undefined],
  ['(a+)+$', undefined],
  ['^((a|b))$', undefined],
  ['a\\|b', ['*a|b*']],
  ['^(a\\||b\\))$', ['a|', 'b)']],
  ['^(a\\)$', undefined],
  ['(a)|(b)', undefined],
  ['a\\d', undefined],
  ['a\\*', undefined],
  ['a{2}', undefined],
  ['a$b', undefined],
  ['a\\', undefined],
];

for (const [regex, globs] of regexRows) {
  test(`the pattern '${regex}' is ${globs === undefined ? 'refused' : `read as ${JSON.stringify(globs)}`}`, () => {
    assert.deepEqual(globsFromRegex(regex), globs);
  });
}

test('every set of globs is shown as an expression that is read as the same set', () => {
  const names = ['a', 'a.b', 'a|b', 'a(b', 'a)', '(a)', '[a]', 'a\\', 'a\\|', '^a$', 'a+b?', '{1}', '*a', 'a*b*', '-'];
  for (const one of names) {
    for (const other of [undefined, ...names]) {
      const globs = other === undefined ? [one] : [one, other];
      assert.deepEqual(globsFromRegex(patternToRegex(globs)), globs, patternToRegex(globs));
    }
  }
});

/** What JavaScript's own engine says of small expressions and names, for those that are understood. */
test('a pattern that is understood matches what the expression does', () => {
  const pieces = ['a', 'b', '.*', '\\.', '|', '^', '$'];
  const names = ['', 'a', 'b', 'ab', 'ba', 'aba', 'a.b', '.', 'bab.', 'aab'];
  const texts = [''];
  for (let length = 0; length < 4; length++) {
    for (const text of texts.slice()) if (text.length >= length) for (const piece of pieces) texts.push(text + piece);
  }
  let compared = 0;
  for (const text of new Set(texts)) {
    const globs = globsFromRegex(text);
    if (globs === undefined) continue;
    compared++;
    // oxlint-disable-next-line security/detect-non-literal-regexp -- small expressions of this test's own
    for (const name of names)
      assert.equal(matchesName(globs, name), new RegExp(text).test(name), `/${text}/ '${name}'`);
  }
  assert.ok(compared > 500, `${compared} expressions were compared`);
});

const row = { pattern: '^a', definition: { 'max-length': 1 } };
const refusals: readonly [what: string, row: Record<string, unknown>, why: RegExp][] = [
  ['an expression that would have to be run', { ...row, pattern: '(a+)+$' }, /no regular expressions/],
  ['no pattern', { definition: row.definition }, /pattern is not a string/],
  ['no definition', { pattern: 'a' }, /definition is no object/],
  ['an empty definition', { ...row, definition: {} }, /empty/],
  ['a list', { ...row, definition: [1] }, /no object/],
  ['an unknown key', { ...row, definition: { 'max-lenh': 1 } }, /max-lenh/],
  ['a key of mirrors', { ...row, definition: { 'ha-mode': 'all' } }, /ha-mode/],
  ['a key of federation', { ...row, definition: { 'federation-upstream-set': 'all' } }, /federation/],
  ['a key of streams', { ...row, definition: { 'max-age': '1D' } }, /max-age/],
  ['a name of every object', { ...row, definition: { constructor: 1 } }, /constructor/],
  ['a negative length', { ...row, definition: { 'max-length': -1 } }, /max-length/],
  ['a length in words', { ...row, definition: { 'max-length': '5' } }, /max-length/],
  ['half a message', { ...row, definition: { 'max-length': 1.5 } }, /max-length/],
  ['a life of no time', { ...row, definition: { expires: 0 } }, /expires/],
  ['an unknown overflow', { ...row, definition: { overflow: 'never' } }, /overflow/],
  ['a number as an exchange', { ...row, definition: { 'dead-letter-exchange': 5 } }, /dead-letter-exchange/],
  ['streams', { ...row, 'apply-to': 'streams' }, /apply-to/],
  ['a priority in words', { ...row, priority: 'high' }, /priority/],
];

for (const [what, wish, why] of refusals) {
  test(`a policy with ${what} is refused`, () => {
    const make = (): unknown => policyFrom('policy', { vhost: '/', name: 'p' }, wish);
    assert.throws(make, (error) => error instanceof PolicyRefused && why.test(error.message));
  });
}

test('an operator limits, and says nothing of where messages go', () => {
  const at = { vhost: '/', name: 'p' };
  policyFrom('operator_policy', at, row);
  const definition = { 'dead-letter-exchange': 'x' };
  assert.throws(() => policyFrom('operator_policy', at, { ...row, definition }), /operators may not/);
});

test('policies are there after a restart, and hold for what is recovered', async (t) => {
  const disk = emptyDisk();
  const users = [{ name: 'guest', password: 'guest' }];
  const first = await startBroker({ store: new MemoryStore(disk), users });
  const client = await new RawClient(first).open();
  await client.channel();
  client.send(1, { name: 'queue.declare', queue: 'work', durable: true });
  await client.method('queue.declare-ok');
  const vhost = first.vhosts.get('/');
  const policy = policyFrom('policy', { vhost: '/', name: 'p' }, { pattern: '^w', definition: { 'max-length': 3 } });
  vhost?.putPolicy('policy', policy);
  vhost?.putPolicy('policy', { ...policy, name: 'gone' });
  assert.equal(vhost?.deletePolicy('policy', 'gone'), true);
  assert.equal(vhost?.deletePolicy('policy', 'gone'), false);
  await first.stop();
  const second = await startBroker({ store: new MemoryStore(disk) });
  t.after(() => second.stop());
  const recovered = second.vhosts.get('/');
  assert.deepEqual(recovered?.policies('policy'), [policy]);
  assert.equal(recovered?.queues.get('work')?.options.lengthMax, 3);
});

for (const [amount, isTaken] of [
  [2, true],
  [3, true],
  [4, false],
] as const) {
  test(`policiesPerVhostMax 3: ${amount} are ${isTaken ? 'taken' : 'refused'}, and one that is there may change`, async (t) => {
    const { broker } = await testBroker(t, { limits: { policiesPerVhostMax: 3 } });
    const vhost = broker.vhosts.get('/');
    const put = (number: number): void =>
      vhost?.putPolicy('policy', policyFrom('policy', { vhost: '/', name: `p${number}` }, row));
    const putAll = (): void => Array.from({ length: amount }, (_, number) => put(number)).forEach(() => undefined);
    if (isTaken) putAll();
    else assert.throws(putAll, PolicyRefused);
    put(0);
  });
}

test('a policy reaches ten thousand queues at once, whatever its pattern', async (t) => {
  const { broker } = await testBroker(t);
  const vhost = broker.vhosts.get('/');
  for (let number = 0; number < 10_000; number++) {
    vhost?.declareQueue({
      name: `${'a'.repeat(200)}${number}`,
      isServerNamed: false,
      isDurable: true,
      isAutoDelete: false,
      isExclusive: false,
      connection: broker,
      arguments: {},
    });
  }
  const pattern = `^${'.*a'.repeat(60)}.*$`;
  vhost?.putPolicy('policy', policyFrom('policy', { vhost: '/', name: 'p' }, { ...row, pattern }));
  assert.equal(vhost?.queues.get(`${'a'.repeat(200)}1`)?.options.lengthMax, 1);
});
