import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  PostOffice,
  connect,
  mailboxes,
  memoryDriver,
  memoryLetterStore,
  missingForMailboxes,
  postalTransport,
  type Delivery,
  type HandshakeAddress,
  type Letter,
  type LetterStore,
  type Transport,
} from '../src/index.js';
import { bytes, text } from './support/world.js';

const address: HandshakeAddress = {
  exchange: 'test',
  topic: 'test.letters',
  isMailbox: (queue) => queue.startsWith('box.'),
  upward: [{ queue: 'results', exchange: 'agents', routingKeys: ['*.result'] }],
};

/** A broker, an office with a store that outlives it, and readers elsewhere. Everything is closed in the end. */
class Post {
  readonly store: LetterStore = memoryLetterStore();
  readonly #driver = memoryDriver();
  readonly #endings: (() => Promise<void>)[] = [];

  async office(): Promise<{ readonly transport: Transport; readonly stop: () => Promise<void> }> {
    const inner = await this.#join();
    const office = new PostOffice(inner, { address, store: this.store });
    await office.start();
    const stop = async (): Promise<void> => {
      await office.stop();
      await inner.close();
    };
    this.#endings.unshift(stop);
    return { transport: office.transport, stop };
  }

  async reader(owner: string): Promise<Transport> {
    const transport = postalTransport(await this.#join(), { address, owner });
    this.#endings.unshift(() => transport.close());
    return transport;
  }

  #join(): Promise<Transport> {
    return connect('memory:', { drivers: [this.#driver] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#endings) await end();
  }
}

const letter = (id: string, more: { readonly expiresMs?: number } = {}) => ({ id, body: bytes(id), ...more });

async function readSome(transport: Transport, box: string, count: number): Promise<readonly Letter[]> {
  const letters: Letter[] = [];
  for await (const found of mailboxes(transport).read(box)) {
    letters.push(found);
    assert.equal(found.accept(), true);
    if (letters.length === count) break;
  }
  return letters;
}

describe('mailboxes by the handshake', () => {
  test('letters wait at the office for a reader that never ran, and come in order, once', async () => {
    await using post = new Post();
    const { transport } = await post.office();
    const boxes = mailboxes(transport);
    await boxes.open('box.one');
    for (const id of ['a', 'b', 'c', 'b']) await boxes.put('box.one', { ...letter(id), headers: { kind: id } });
    assert.deepEqual(await boxes.inspect('box.one'), { messages: 3, readers: 0 });
    const reader = await post.reader('one');
    const read = await readSome(reader, 'box.one', 3);
    assert.deepEqual(
      read.map(({ id, body, headers, redelivered }) => [id, text(body), headers['kind'], redelivered]),
      [
        ['a', 'a', 'a', false],
        ['b', 'b', 'b', false],
        ['c', 'c', 'c', false],
      ],
    );
    assert.equal(await mailboxes(reader).take('box.one'), undefined);
    assert.equal(await post.store.count('box.one', 0), 0);
  });

  test('a sender elsewhere hears that the letter is stored, and what it is refused with', async () => {
    await using post = new Post();
    const { transport } = await post.office();
    await mailboxes(transport).open('box.one');
    const sender = mailboxes(await post.reader('sender'));
    await sender.put('box.one', letter('a'));
    assert.equal(await post.store.count('box.one', 0), 1);
    await assert.rejects(sender.put('box.none', letter('a')), { code: 'UNROUTABLE' });
  });

  test('a letter given back comes again, marked; a rejected one does not', async () => {
    await using post = new Post();
    const { transport } = await post.office();
    const boxes = mailboxes(transport);
    await boxes.open('box.one');
    for (const id of ['a', 'b']) await boxes.put('box.one', letter(id));
    const seen: (readonly [string, boolean])[] = [];
    for await (const found of mailboxes(await post.reader('one')).read('box.one')) {
      seen.push([found.id, found.redelivered]);
      if (seen.length === 1) found.release();
      else found.reject();
      if (seen.length === 3) break;
    }
    assert.deepEqual(seen, [
      ['a', false],
      ['a', true],
      ['b', false],
    ]);
    assert.equal(await boxes.take('box.one'), undefined);
  });

  test('what a reader had in hand when another process took its place goes to that one, marked', async () => {
    await using post = new Post();
    const { transport } = await post.office();
    const boxes = mailboxes(transport);
    await boxes.open('box.one');
    for (const id of ['a', 'b']) await boxes.put('box.one', letter(id));
    const first = await post.reader('one');
    const held = mailboxes(first).read('box.one')[Symbol.asyncIterator]();
    assert.equal((await held.next()).value?.id, 'a');
    const second = await post.reader('one');
    const letters = await readSome(second, 'box.one', 2);
    assert.deepEqual(
      letters.map(({ id, redelivered }) => [id, redelivered]),
      [
        ['a', true],
        ['b', false],
      ],
    );
    await held.return?.();
  });

  test('an office that was ended and started again on its store has lost nothing', async () => {
    await using post = new Post();
    const before = await post.office();
    await mailboxes(before.transport).open('box.one');
    await mailboxes(before.transport).put('box.one', letter('a'));
    const reader = await post.reader('one');
    const held = mailboxes(reader).read('box.one')[Symbol.asyncIterator]();
    const { value: lost } = await held.next();
    await before.stop();
    await post.office();
    lost?.accept();
    await held.return?.();
    const letters = await readSome(await post.reader('one'), 'box.one', 1);
    assert.deepEqual(
      letters.map(({ id, redelivered }) => [id, redelivered]),
      [['a', true]],
    );
  });

  test('readers of different owners share the letters, each gets its own', async () => {
    await using post = new Post();
    const { transport } = await post.office();
    const boxes = mailboxes(transport);
    await boxes.open('box.many');
    const ids = Array.from({ length: 60 }, (_, n) => `n${n}`);
    await Promise.all(ids.map((id) => boxes.put('box.many', letter(id))));
    const seen: string[] = [];
    let isAll: () => void = () => undefined;
    const all = new Promise<void>((resolve) => (isAll = resolve));
    const onDelivery = (delivery: Delivery): void => {
      seen.push(delivery.message.properties.messageId ?? '');
      delivery.accept();
      if (seen.length >= ids.length) isAll();
    };
    for (const owner of ['one', 'two', 'three']) {
      await (await post.reader(owner)).consume({ queue: 'box.many' }, { credit: 1, onDelivery });
    }
    await all;
    assert.deepEqual(seen.toSorted(), ids.toSorted());
  });

  test('a letter past its time is not handed out', async () => {
    await using post = new Post();
    const { transport } = await post.office();
    const boxes = mailboxes(transport);
    await boxes.open('box.one');
    await boxes.put('box.one', letter('late', { expiresMs: 0 }));
    await boxes.put('box.one', letter('in time', { expiresMs: 60_000 }));
    assert.deepEqual(
      (await readSome(await post.reader('one'), 'box.one', 1)).map(({ id }) => id),
      ['in time'],
    );
  });

  test('what goes up is confirmed when its reader is done with it, and refused when nobody reads', async () => {
    await using post = new Post();
    const { transport } = await post.office();
    const agent = await post.reader('agent');
    const send = (id: string): Promise<void> =>
      agent.publish(
        { exchange: 'agents', routingKey: 'm1.result' },
        { body: bytes(id), headers: {}, properties: { messageId: id }, persistent: true, ifNobody: 'fail' },
      );
    await assert.rejects(send('early'), { code: 'NOT_CONFIRMED' });
    const seen: (readonly [string, boolean])[] = [];
    const onDelivery = (delivery: Delivery): void => {
      assert.equal(delivery.destination.routingKey, 'm1.result');
      seen.push([text(delivery.message.body), delivery.redelivered]);
      if (seen.length === 1) delivery.release();
      else if (seen.length === 2) delivery.accept();
      else delivery.reject();
    };
    const subscription = await transport.consume({ queue: 'results' }, { credit: 1, onDelivery });
    await send('given back once');
    await send('rejected');
    assert.deepEqual(seen, [
      ['given back once', false],
      ['given back once', true],
      ['rejected', false],
    ]);
    await subscription.stop();
    await assert.rejects(send('late'), { code: 'NOT_CONFIRMED' });
  });

  test('a reader of a mailbox that is not open finds nothing, and gets its letters once it is', async () => {
    await using post = new Post();
    const { transport } = await post.office();
    const reader = await post.reader('one');
    assert.equal(await mailboxes(reader).take('box.later'), undefined);
    await mailboxes(transport).open('box.later');
    await mailboxes(transport).put('box.later', letter('a'));
    assert.equal((await readSome(reader, 'box.later', 1))[0]?.id, 'a');
  });

  test('an option that the office cannot honour is refused by name', async () => {
    await using post = new Post();
    const { transport } = await post.office();
    await assert.rejects(mailboxes(transport).open('box.one', { priorityMax: 3 }), {
      code: 'CAPABILITY_MISSING',
      message: /priorityMax/,
    });
  });

  test('everything else goes its own way: the transport under it is asked for the rest', async () => {
    await using post = new Post();
    const agent = await post.reader('agent');
    await assert.rejects(
      agent.publish(
        { exchange: '', routingKey: 'no such queue' },
        { body: bytes('x'), headers: {}, properties: {}, persistent: false, ifNobody: 'fail' },
      ),
      { code: 'UNROUTABLE' },
    );
    assert.equal(agent.capabilities.mailboxes, true);
    assert.deepEqual(missingForMailboxes({ ...agent.capabilities, mailboxes: false, routes: false }), [
      'mailboxes',
      'routes',
    ]);
    assert.deepEqual(missingForMailboxes(agent.capabilities), []);
  });
});
