import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesTopic, topicPatternFromRegex, topicPatternToRegex } from '../src/access/topic-pattern.js';

const alice = { username: 'alice', vhost: 'shop' };

const rows: readonly [glob: string, routingKey: string, isMatch: boolean, values?: typeof alice][] = [
  ['{username}.*', 'alice.a', true],
  ['{username}.*', 'alicea', false],
  ['{username}.*', 'bob.a', false],
  ['{username}.*', '{username}.a', false],
  ['{vhost}.{username}', 'shop.alice', true],
  ['{vhost}.{username}', 'alice.shop', false],
  ['{client_id}.*', '{client_id}.a', true],
  ['{client_id}.*', 'alice.a', false],
  ['{username}.*', '*.a', true, { username: '*', vhost: 'shop' }],
  ['{username}.*', 'bob.a', false, { username: '*', vhost: 'shop' }],
  ['{username}', 'shop', false, { username: '{vhost}', vhost: 'shop' }],
  ['{username}', '{vhost}', true, { username: '{vhost}', vhost: 'shop' }],
  ['{username}.x', '𝔞.x', true, { username: '𝔞', vhost: 'shop' }],
];

for (const [glob, routingKey, isMatch, values = alice] of rows) {
  const does = isMatch ? 'matches' : 'does not match';
  test(`the topic pattern '${glob}' of the user '${values.username}' ${does} '${routingKey}'`, () => {
    assert.equal(matchesTopic([glob], routingKey, values), isMatch);
  });
}

test('variables are read out of a regular expression, and written into one', () => {
  const regexes = ['^{username}\\..*$', '^({vhost}\\..*|{username})$', '^\\{client_id\\}$', '^$', '.*'];
  for (const regex of regexes) {
    const pattern = topicPatternFromRegex(regex);
    assert.ok(pattern !== undefined, `${regex} is read`);
    assert.equal(topicPatternToRegex(pattern), regex);
  }
  assert.deepEqual(topicPatternFromRegex('^{client_id}\\.'), ['{client_id}.*']);
});

test('what is no variable, or not plainly one, is refused', () => {
  for (const regex of ['^{user}$', '^a{2}$', '^\\{username\\}$', '^[a-z]{username}$', '^\uE000$']) {
    assert.equal(topicPatternFromRegex(regex), undefined, regex);
  }
});
