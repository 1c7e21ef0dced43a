import assert from 'node:assert/strict';
import test from 'node:test';
import { isMessagingError, mailboxes, type ErrorCode, type OutgoingMessage } from '../src/index.js';
import { bytes, makeWorld, settled, text } from './support/world.js';

/*
 * The promises of Puka, the AMQP client that Murano's wrapper stood on: a request is a promise that one waits for when one
 * likes, an error hits only the promise that caused it, channels are hidden, a consumer is a stream with bounded waiting.
 */

const letter = (id: string): OutgoingMessage => ({
  body: bytes(id),
  properties: { messageId: id },
  headers: {},
  persistent: true,
  ifNobody: 'fail',
});
const is =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    isMessagingError(error, code);

test('a request is a promise that one waits for when one likes', async () => {
  await using transport = await makeWorld().join();
  const boxes = mailboxes(transport);
  await boxes.open('a');
  const stored = boxes.put('a', { id: 'one', body: bytes('one') });
  await settled();
  assert.equal((await boxes.inspect('a')).messages, 1, 'it went out without being waited for');
  assert.equal((await stored).id, 'one');
});

test('an error hits only the promise that caused it, and nothing else on the connection', async () => {
  await using transport = await makeWorld().join();
  const boxes = mailboxes(transport);
  await boxes.open('a');
  const results = await Promise.allSettled([
    boxes.put('a', { id: '1', body: bytes('1') }),
    boxes.put('absent', { id: '2', body: bytes('2') }),
    boxes.take('absent'),
    boxes.inspect('absent'),
    boxes.put('a', { id: '3', body: bytes('3') }),
  ]);
  assert.deepEqual(
    results.map((result) =>
      result.status === 'fulfilled' ? 'ok' : isMessagingError(result.reason) && result.reason.code,
    ),
    ['ok', 'UNROUTABLE', 'NOT_FOUND', 'NOT_FOUND', 'ok'],
  );
  assert.equal(transport.state, 'connected');
});

test('a publish is a request: it says that it arrived, or why it did not', async () => {
  await using transport = await makeWorld().join();
  const boxes = mailboxes(transport);
  await boxes.open('small', { lengthMax: 1 });
  await boxes.put('small', { id: '1', body: bytes('1') });
  await assert.rejects(boxes.put('small', { id: '2', body: bytes('2') }), is('QUOTA_EXCEEDED'));
  const huge = { ...letter('huge'), body: new Uint8Array(transport.capabilities.messageSizeBytesMax + 1) };
  await assert.rejects(transport.publish({ exchange: '', routingKey: 'small' }, huge), is('TOO_LARGE'));
});

test('a thousand requests in flight are settled in any order, each with its own outcome', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await mailboxes(transport).open('a');
  world.broker.block(true);
  const sends = Array.from({ length: 1_000 }, (_, at) =>
    transport.publish({ exchange: '', routingKey: at % 10 === 3 ? 'absent' : 'a' }, letter(String(at))),
  );
  const outcomes = Promise.allSettled(sends);
  await settled();
  world.broker.block(false);
  const isRight = (await outcomes).every(({ status }, at) => (status === 'rejected') === (at % 10 === 3));
  assert.ok(isRight);
  assert.equal((await transport.inspect({ queue: 'a' })).messages, 900);
});

test('a consumer is a stream that one may stop waiting for', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport);
  await boxes.open('a');
  await boxes.put('a', { id: 'one', body: bytes('one') });
  const patience = new AbortController();
  world.clock.after(5_000, () => patience.abort());
  const seen: string[] = [];
  const reading = (async () => {
    for await (const each of boxes.read('a', { signal: patience.signal })) {
      seen.push(text(each.body));
      each.accept();
    }
  })();
  await world.clock.advance(5_000);
  await reading;
  assert.deepEqual(seen, ['one']);
});

test('no wait lasts for ever, also while there is no connection', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport);
  await boxes.open('a');
  world.broker.block(true);
  const put = assert.rejects(boxes.put('a', { id: '1', body: bytes('1') }, { timeoutMs: 1_000 }), is('TIMEOUT'));
  await world.clock.advance(1_000);
  await put;
  world.broker.block(false);
});

test('a reader takes no more than it asked for, and gives back what it did not settle', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport);
  await boxes.open('a');
  for (const id of ['1', '2', '3']) await boxes.put('a', { id, body: bytes(id) });
  for await (const each of boxes.read('a', { credit: 1 })) {
    assert.equal((await boxes.inspect('a')).messages, 2);
    assert.equal(each.id, '1');
    each.release();
    break;
  }
  const again = await boxes.take('a');
  assert.deepEqual([again?.id, again?.redelivered], ['1', true]);
  again?.accept();
});
