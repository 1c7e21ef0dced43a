import assert from 'node:assert/strict';
import test from 'node:test';
import { isMessagingError, mailboxes, memoryLedger, type Letter } from '../src/index.js';
import { bytes, makeWorld, settled, text } from './support/world.js';

test('a letter waits for a reader that has never been there', async () => {
  const world = makeWorld();
  await using sender = await world.join();
  await mailboxes(sender).open('m1');
  const receipt = await mailboxes(sender).put('m1', {
    id: 'l1',
    body: bytes('hello'),
    contentType: 'text/plain',
    headers: { a: 1 },
  });
  assert.deepEqual(receipt, { id: 'l1', storedAtMs: world.clock.now() });
  await using reader = await world.join();
  for await (const letter of mailboxes(reader).read('m1')) {
    assert.deepEqual(
      [letter.id, text(letter.body), letter.contentType, letter.headers, letter.redelivered],
      ['l1', 'hello', 'text/plain', { a: 1 }, false],
    );
    assert.equal(letter.accept(), true);
    assert.equal(letter.accept(), false);
    break;
  }
  assert.deepEqual(await mailboxes(sender).inspect('m1'), { messages: 0, readers: 0 });
});

test('putting into a mailbox that is not open is refused', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await assert.rejects(mailboxes(transport).put('void', { id: 'x', body: bytes('') }), (error) =>
    isMessagingError(error, 'UNROUTABLE'),
  );
});

test('a full mailbox refuses with its quota', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport);
  await boxes.open('m', { lengthMax: 1 });
  await boxes.put('m', { id: '1', body: bytes('') });
  await assert.rejects(
    boxes.put('m', { id: '2', body: bytes('') }),
    (error) => isMessagingError(error, 'QUOTA_EXCEEDED') && error.details['lengthMax'] === 1,
  );
});

test('a reader waits for its mailbox, and goes on after a reconnect without handing a letter out twice', async () => {
  const world = makeWorld();
  await using sender = await world.join();
  await using transport = await world.join();
  const seen: Letter[] = [];
  const controller = new AbortController();
  const reading = (async () => {
    for await (const letter of mailboxes(transport).read('m', { credit: 3, signal: controller.signal }))
      seen.push(letter);
  })();
  await world.clock.advance(1_000);
  const boxes = mailboxes(sender);
  await boxes.open('m');
  await boxes.put('m', { id: '1', body: bytes('') });
  await world.clock.advance(5_000);
  assert.deepEqual(
    seen.map(({ id }) => id),
    ['1'],
  );
  world.broker.cut();
  await world.clock.advance(1_000);
  assert.deepEqual(
    seen.map(({ id, redelivered }) => [id, redelivered]),
    [
      ['1', false],
      ['1', true],
    ],
  );
  assert.equal(seen[0]?.accept(), false, 'the first copy is stale');
  assert.equal(seen[1]?.accept(), true);
  controller.abort();
  await reading;
  await settled();
  assert.equal(world.clock.timers, 0);
});

test('letters that waited in the reader when the connection was lost are handed out once, from the new connection', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport);
  await boxes.open('m');
  for (const id of ['1', '2', '3']) await boxes.put('m', { id, body: bytes('') });
  const seen: (readonly [string, boolean])[] = [];
  for await (const letter of boxes.read('m', { credit: 3 })) {
    if (seen.length === 0) {
      await settled();
      world.broker.cut();
      await world.clock.advance(1_000);
    }
    seen.push([letter.id, letter.accept()]);
    if (seen.length === 4) break;
  }
  assert.deepEqual(seen, [
    ['1', false],
    ['1', true],
    ['2', true],
    ['3', true],
  ]);
});

test('leaving the loop gives back what was not handed out', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport);
  await boxes.open('m');
  for (const id of ['1', '2', '3']) await boxes.put('m', { id, body: bytes('') });
  for await (const letter of boxes.read('m', { credit: 3 })) {
    letter.accept();
    break;
  }
  assert.deepEqual(await boxes.inspect('m'), { messages: 2, readers: 0 });
  const next = await boxes.take('m');
  assert.equal(next?.id, '2');
  next?.accept();
});

test('priority, expiry and single reader', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport);
  await boxes.open('m', { priorityMax: 5, singleReader: true });
  await boxes.put('m', { id: 'low', body: bytes('') });
  await boxes.put('m', { id: 'high', body: bytes(''), priority: 5 });
  await boxes.put('m', { id: 'gone', body: bytes(''), priority: 5, expiresMs: 10 });
  await world.clock.advance(10);
  assert.equal((await boxes.take('m'))?.id, 'high');
  assert.equal((await boxes.take('m'))?.id, 'low');
  assert.equal(await boxes.take('m'), undefined);
});

test('a mailbox whose lifetime is over ends with its inventory, and refuses letters meanwhile', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport, { ledger: memoryLedger() });
  await boxes.open('m', { lifetimeMs: 60_000 });
  for (const id of ['done', 'left']) await boxes.put('m', { id, body: bytes(id) });
  const first = await boxes.take('m');
  first?.accept();
  await boxes.settle('m', 'done');
  await boxes.put('m', { id: 'in hand', body: bytes('') });
  const left = await boxes.take('m');
  left?.release();
  await world.clock.advance(40_000);
  await boxes.touch('m');
  await world.clock.advance(40_000);
  assert.deepEqual(await boxes.sweep(), [], 'contact renewed its lifetime');
  await world.clock.advance(20_000);
  const inHand: Letter[] = [];
  const reading = (async () => {
    // It says nothing: hearing of it would renew the lifetime.
    for await (const letter of boxes.read('m', { receipts: false })) inHand.push(letter);
  })();
  await settled();
  const sweeping = boxes.sweep();
  await settled();
  await assert.rejects(boxes.put('m', { id: 'late', body: bytes('') }), (error) => isMessagingError(error, 'EXPIRED'));
  await world.clock.advance(30_000);
  const [end] = await sweeping;
  assert.equal(end?.reason, 'its lifetime is over');
  assert.deepEqual(
    end?.inventory.map(({ id, body }) => [id, body === undefined]),
    [
      ['left', true],
      ['in hand', false],
    ],
  );
  await assert.rejects(boxes.put('m', { id: 'late', body: bytes('') }), (error) =>
    isMessagingError(error, 'UNROUTABLE'),
  );
  assert.equal(inHand.length, 1);
  await transport.close();
  await reading;
});

test('a lifetime without a ledger is refused, not ignored', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await assert.rejects(mailboxes(transport).open('m', { lifetimeMs: 1 }), (error) =>
    isMessagingError(error, 'CAPABILITY_MISSING'),
  );
});
