import assert from 'node:assert/strict';
import test from 'node:test';
import { connect, isMessagingError, type Delivery, type ErrorCode } from '@torcello/messaging';
import { amqp10Driver } from '../src/index.js';
import { SimulatedClock } from '@torcello/platform/testing';
import { ScriptedPeer, type Outcome, type PeerScript } from './support/scripted-peer.js';
import { message, open, text } from './support/world.js';

async function withPeer(script: PeerScript, body: (peer: ScriptedPeer) => Promise<void>): Promise<void> {
  const peer = await ScriptedPeer.start(script);
  try {
    await body(peer);
  } finally {
    await peer.stop();
  }
}

const to = (routingKey: string): { exchange: string; routingKey: string } => ({ exchange: '', routingKey });
const withCode = (code: ErrorCode, mayArrive?: boolean) => (error: unknown) =>
  isMessagingError(error, code) && (mayArrive === undefined || error.details['mayArrive'] === mayArrive);

test('each outcome of a send is told as what it is, and the others go on', async () => {
  const outcome = (address: string): Outcome => address as Outcome;
  await withPeer({ outcome }, async (peer) => {
    const connection = await open(peer.url);
    const sends = ['accept', 'release', 'reject', 'modify'].map((name) => connection.publish(to(name), message(name)));
    const [accepted, released, rejected, modified] = sends;
    await accepted;
    await assert.rejects(async () => released, withCode('UNROUTABLE', false));
    await assert.rejects(async () => rejected, withCode('NOT_CONFIRMED', false));
    await assert.rejects(async () => modified, withCode('NOT_CONFIRMED', true));
    await connection.publish(to('release'), message('x', { ifNobody: 'drop' }));
    await connection.publish(to('accept'), message('again'));
    await connection.close();
  });
});

test('what has no outcome when the connection is lost is rejected, and marked when it is sent again', async () => {
  let isFirst = true;
  const outcome = (): Outcome => {
    const held = isFirst;
    isFirst = false;
    return held ? 'hold' : 'accept';
  };
  await withPeer({ outcome }, async (peer) => {
    await using transport = await connect(peer.url, { drivers: [amqp10Driver()] });
    const sending = transport.publish(to('q'), message('x'), { resend: true });
    await peer.until(() => peer.received.length === 1);
    peer.cut();
    await sending;
    const seen: Delivery[] = [];
    await transport.consume({ queue: 'q' }, { credit: 5, onDelivery: (delivery) => seen.push(delivery) });
    await peer.until(() => peer.credit('q') === 5);
    for (const { message: copy } of peer.received) peer.send('q', copy);
    await transport.publish(to('q'), message('later'));
    assert.deepEqual(
      seen.map(({ redelivered }) => redelivered),
      [false, true],
    );
    for (const delivery of seen) delivery.accept();
  });
});

test('a refused link is told with the code of its condition', async () => {
  const refuse = {
    missing: 'amqp:not-found',
    secret: 'amqp:unauthorized-access',
    busy: 'amqp:resource-locked',
    odd: 'vendor:own',
  };
  await withPeer({ refuse }, async (peer) => {
    const connection = await open(peer.url);
    const read = (queue: string): Promise<unknown> => connection.consume({ queue }, 1, () => undefined);
    await assert.rejects(read('missing'), withCode('NOT_FOUND'));
    await assert.rejects(connection.get({ queue: 'missing' }), withCode('NOT_FOUND'));
    await assert.rejects(read('secret'), withCode('ACCESS_REFUSED'));
    await assert.rejects(read('busy'), withCode('RESOURCE_LOCKED'));
    await assert.rejects(read('odd'), withCode('CONSUMER_ENDED'));
    await assert.rejects(connection.publish(to('missing'), message('x')), withCode('UNROUTABLE', false));
    await assert.rejects(connection.publish(to('secret'), message('x')), withCode('ACCESS_REFUSED', false));
    await connection.publish(to('fine'), message('x'));
    await connection.close();
  });
});

test('settling is accepted, modified with a count, rejected; credit never exceeds what was asked for', async () => {
  await withPeer({}, async (peer) => {
    const connection = await open(peer.url);
    const seen: Delivery[] = [];
    const consumer = await connection.consume({ queue: 'q' }, 3, (delivery) => seen.push(delivery));
    await peer.until(() => peer.credit('q') === 3);
    for (const body of ['a', 'b', 'c']) peer.send('q', { body, delivery_count: body === 'b' ? 2 : 0 });
    // A send and its outcome make a round trip behind the three.
    await connection.publish(to('other'), message('x'));
    assert.deepEqual(
      seen.map((delivery) => [text(delivery.message.body), delivery.redelivered]),
      [
        ['a', false],
        ['b', true],
        ['c', false],
      ],
    );
    assert.equal(peer.credit('q'), 0, 'nothing is settled, so no credit is left');
    assert.equal(seen[0]?.accept(), true);
    await peer.until(() => peer.credit('q') > 0);
    await connection.publish(to('other'), message('y'));
    assert.equal(peer.credit('q'), 1, 'one is settled, so there is room for one');
    assert.deepEqual([seen[1]?.release(), seen[2]?.reject()], [true, true]);
    assert.deepEqual([seen[0]?.accept(), seen[1]?.reject()], [false, false], 'a second time does nothing');
    await peer.until(() => peer.outcomes.length === 3);
    assert.deepEqual(
      peer.outcomes.map(({ name }) => name),
      ['accepted', 'modified', 'rejected'],
    );
    assert.equal(peer.outcomes[1]?.state['delivery_failed'], true);
    await peer.until(() => peer.credit('q') === 3);
    peer.end('q', 'amqp:resource-deleted');
    assert.equal((await consumer.ended)?.code, 'CONSUMER_ENDED');
    assert.equal(seen[0]?.accept(), false);
    await connection.close();
  });
});

test('a delivery that nobody settles holds up no other reader', async () => {
  await withPeer({}, async (peer) => {
    const connection = await open(peer.url);
    const held: Delivery[] = [];
    await connection.consume({ queue: 'held' }, 1, (delivery) => held.push(delivery));
    await peer.until(() => peer.credit('held') === 1);
    peer.send('held', { body: 'never settled' });
    // More than the window of a session, in which the one above would stay the oldest.
    const count = 3_000;
    let seen = 0;
    await connection.consume({ queue: 'busy' }, 100, (delivery) => {
      seen += 1;
      delivery.accept();
    });
    await peer.until(() => peer.credit('busy') === 100);
    for (let sent = 0; sent < count; sent += 1) {
      await peer.until(() => sent - peer.outcomes.length < 100);
      peer.send('busy', { body: String(sent) });
    }
    await peer.until(() => peer.outcomes.length === count);
    assert.deepEqual([seen, held.length], [count, 1]);
    assert.equal(held[0]?.accept(), true);
    await connection.close();
  });
});

test('a fetch from an empty queue ends when the peer has answered the drain, without waiting', async () => {
  await withPeer({}, async (peer) => {
    // On this clock no patience ever ends.
    const connection = await open(`${peer.url}/?profile=qpid`, { clock: new SimulatedClock() });
    assert.equal(await connection.get({ queue: 'empty' }), undefined);
    await connection.close();
  });
});

test('a message above the size that an address takes is TOO_LARGE and is not sent', async () => {
  await withPeer({ maxMessageSize: 1_000 }, async (peer) => {
    const connection = await open(peer.url);
    await assert.rejects(connection.publish(to('q'), message(new Uint8Array(1_001))), withCode('TOO_LARGE', false));
    await connection.publish(to('q'), message('small'));
    assert.equal(peer.received.length, 1);
    await connection.close();
  });
});

test('a message of many frames arrives whole', async () => {
  await withPeer({}, async (peer) => {
    const connection = await open(`${peer.url}?max_frame_size=512`);
    const body = Uint8Array.from({ length: 300_000 }, (_, at) => at % 251);
    await connection.publish(to('q'), message(body));
    const received = peer.received[0]?.message['body'] as { readonly content: Uint8Array } | undefined;
    assert.equal(Buffer.compare(received?.content ?? new Uint8Array(), body), 0);
    await connection.close();
  });
});

test('PLAIN logs in, a wrong password is LOGIN_REFUSED, no password is not let in where one is wanted', async () => {
  await withPeer({ login: { username: 'ann', password: 'pa:ss' } }, async ({ port }) => {
    await (await open(`amqp1://ann:pa%3Ass@127.0.0.1:${port}`)).close();
    await assert.rejects(open(`amqp1://ann:wrong@127.0.0.1:${port}`), withCode('LOGIN_REFUSED'));
    await assert.rejects(open(`amqp1://127.0.0.1:${port}`), withCode('LOGIN_REFUSED'));
  });
});

test('without a login it is ANONYMOUS, or no SASL at all where the URL says so', async () => {
  await withPeer({}, async (peer) => {
    await (await open(peer.url)).close();
    await (await open(`${peer.url}?sasl_mechanism=none`)).close();
  });
});

test('the peer names the profile, and the URL wins', async () => {
  await withPeer({ properties: { product: 'apache-activemq-artemis', version: '2.30' } }, async (peer) => {
    const [known, told] = [await open(peer.url), await open(`${peer.url}?profile=dispatch`)];
    assert.equal(known.capabilities.mailboxes, true);
    assert.equal(told.capabilities.mailboxes, false);
    await Promise.all([known.close(), told.close()]);
  });
});

test('where the peer names the nodes for answers, its name is the address', async () => {
  await withPeer({}, async (peer) => {
    const connection = await open(`${peer.url}?profile=qpid`);
    const seen: string[] = [];
    const address = await connection.openReplies('reply_x', 1_000, ({ body }) => seen.push(text(body)));
    assert.deepEqual(address, { exchange: '', routingKey: 'dynamic-1' });
    assert.deepEqual(peer.attached, [{ role: 'reads', address: 'dynamic-1', isDynamic: true }]);
    peer.send('dynamic-1', { body: 'answer' });
    await connection.publish(to('q'), message('x'));
    assert.deepEqual(seen, ['answer']);
    await connection.close();
  });
});

test('what a profile cannot honour is refused by name', async () => {
  await withPeer({}, async (peer) => {
    const connection = await open(peer.url);
    const refused = (option: string) => (error: unknown) =>
      isMessagingError(error, 'CAPABILITY_MISSING') && error.details['option'] === option;
    const source = { queue: 'q' };
    const ensure = (
      options: object,
      reachedBy: readonly { exchange: string; routingKey: string }[] = [],
    ): Promise<void> => connection.ensure({ kind: 'mailbox', source, reachedBy, options });
    await ensure({});
    await ensure({}, [to('q')]);
    await assert.rejects(ensure({ lengthMax: 3 }), refused('lengthMax'));
    await assert.rejects(ensure({ expiresMs: 3 }), refused('expiresMs'));
    await assert.rejects(ensure({ singleReader: true }), refused('singleReader'));
    await assert.rejects(ensure({}, [{ exchange: 'x', routingKey: '#' }]), refused('reachedBy'));
    await assert.rejects(connection.delete(source), withCode('CAPABILITY_MISSING'));
    await assert.rejects(connection.inspect(source), withCode('CAPABILITY_MISSING'));
    await connection.close();
  });
});

test('an option that the driver does not know is INVALID_URL', async () => {
  for (const query of ['colour=red', 'profile=mine', 'addressing_mode=odd', 'max_frame_size=12']) {
    await assert.rejects(open(`amqp1://127.0.0.1:1/?${query}`), withCode('INVALID_URL'));
  }
});

test('a body that is neither bytes nor text is rejected, and the connection goes on', async () => {
  await withPeer({}, async (peer) => {
    const connection = await open(peer.url);
    const seen: string[] = [];
    await connection.consume({ queue: 'q' }, 1, (delivery) => {
      seen.push(text(delivery.message.body));
      delivery.accept();
    });
    await peer.until(() => peer.credit('q') === 1);
    peer.send('q', { body: { a: 'map' } });
    await peer.until(() => peer.outcomes.length === 1 && peer.credit('q') === 1);
    peer.send('q', { body: 'text' });
    await peer.until(() => peer.outcomes.length === 2);
    assert.deepEqual(seen, ['text']);
    assert.deepEqual(
      peer.outcomes.map(({ name }) => name),
      ['rejected', 'accepted'],
    );
    await connection.close();
  });
});

test('hosts are tried in turn', async () => {
  await withPeer({}, async ({ port }) => {
    await (await open(`amqp1://127.0.0.1:1,127.0.0.1:${port}`)).close();
    await assert.rejects(open('amqp1://127.0.0.1:1,127.0.0.1:2'), withCode('CONNECT_FAILED'));
  });
});
