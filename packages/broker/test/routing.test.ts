import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FieldTable } from '@torcello/amqp091';
import { DirectRouter } from '../src/routing/direct.js';
import { FanoutRouter } from '../src/routing/fanout.js';
import { HeadersRouter } from '../src/routing/headers.js';
import type { RouteBinding, Router } from '../src/routing/router.js';
import { TopicRouter } from '../src/routing/topic.js';

function bindingOf(destination: string, routingKey: string, args: FieldTable = {}): RouteBinding<string> {
  return { destination, routingKey, arguments: args };
}

function found(router: Router<string>, routingKey: string, headers?: FieldTable): string[] {
  const destinations = new Set<string>();
  router.match(routingKey, { headers }, (destination) => destinations.add(destination));
  return [...destinations].toSorted();
}

const topicRows: readonly [pattern: string, key: string, isMatch: boolean][] = [
  ['a.b', 'a.b', true],
  ['a.b', 'a', false],
  ['*.b', 'a.b', true],
  ['*.b', 'b', false],
  ['*', 'a', true],
  ['*', '', false],
  ['#', '', true],
  ['#', 'a.b.c', true],
  ['a.#', 'a', true],
  ['a.#', 'a.b.c', true],
  ['a.#', 'b', false],
  ['#.c', 'a.b.c', true],
  ['#.c', 'c', true],
  ['a.#.c', 'a.c', true],
  ['a.#.c', 'a.x.y.c', true],
  ['a.#.c', 'a.x.y', false],
  ['#.#.a', 'a', true],
  ['*.#', '', false],
  ['', '', true],
  ['*', '#', true],
  ['a', '*', false],
  ['a..b', 'a..b', true],
  ['a.*.b', 'a..b', true],
];

for (const [pattern, key, isMatch] of topicRows) {
  test(`the topic pattern '${pattern}' ${isMatch ? 'matches' : 'does not match'} '${key}'`, () => {
    const router = new TopicRouter<string>();
    const binding = bindingOf('q', pattern);
    router.add(binding);
    assert.deepEqual(found(router, key), isMatch ? ['q'] : []);
    router.remove(binding);
    assert.deepEqual(found(router, key), []);
  });
}

test('a topic pattern made of many # costs words times nodes, not their power', () => {
  const router = new TopicRouter<string>();
  router.add(bindingOf('q', Array.from({ length: 50 }, () => '#.a').join('.')));
  assert.deepEqual(found(router, Array.from({ length: 49 }, () => 'a').join('.')), []);
});

test('removing one of two topic bindings keeps the other, longer or shorter', () => {
  const router = new TopicRouter<string>();
  const short = bindingOf('short', 'a');
  const long = bindingOf('long', 'a.b');
  router.add(short);
  router.add(long);
  router.remove(long);
  assert.deepEqual(found(router, 'a'), ['short']);
  router.add(long);
  router.remove(short);
  assert.deepEqual(found(router, 'a.b'), ['long']);
});

test('a direct exchange matches the whole key', () => {
  const router = new DirectRouter<string>();
  router.add(bindingOf('one', 'k'));
  router.add(bindingOf('two', 'k'));
  router.add(bindingOf('three', 'k.x'));
  assert.deepEqual(found(router, 'k'), ['one', 'two']);
  assert.deepEqual(found(router, 'K'), []);
});

test('a fanout exchange matches whatever the key is', () => {
  const router = new FanoutRouter<string>();
  const one = bindingOf('one', 'k');
  router.add(one);
  router.add(bindingOf('two', ''));
  assert.deepEqual(found(router, 'other'), ['one', 'two']);
  router.remove(one);
  assert.deepEqual(found(router, 'other'), ['two']);
});

const headerRows: readonly [args: FieldTable, headers: FieldTable | undefined, isMatch: boolean][] = [
  [{ 'x-match': 'all', a: 1, b: 'x' }, { a: 1n, b: 'x', c: 0 }, true],
  [{ 'x-match': 'all', a: 1, b: 'x' }, { a: 1 }, false],
  [{ a: 1, b: 'x' }, { a: 1, b: 'y' }, false],
  [{ 'x-match': 'any', a: 1, b: 'x' }, { b: 'x' }, true],
  [{ 'x-match': 'any', a: 1 }, undefined, false],
  [{ 'x-match': 'all', a: null }, { a: 'anything' }, true],
  [{ 'x-match': 'all', 'x-a': 1 }, {}, true],
  [{ 'x-match': 'all-with-x', 'x-a': 1 }, {}, false],
  [{ 'x-match': 'any-with-x', 'x-a': 1 }, { 'x-a': 1 }, true],
];

for (const [args, headers, isMatch] of headerRows) {
  test(`headers ${show(args)} ${isMatch ? 'match' : 'do not match'} ${show(headers)}`, () => {
    const router = new HeadersRouter<string>();
    router.add(bindingOf('q', '', args));
    assert.deepEqual(found(router, '', headers), isMatch ? ['q'] : []);
  });
}

function show(table: FieldTable | undefined): string {
  return JSON.stringify(table, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)) ?? 'none';
}
