import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeContent, encodeMethod, type MethodNamed } from '@torcello/amqp091';
import { SimulatedClock } from '@torcello/platform/testing';
import { isMessagingError, type Delivery, type DriverConnection, type ErrorCode } from '@torcello/messaging';
import { FakeBroker, startMethod, type FakeSession, type Script } from './support/fake-broker.js';
import { Collected, message, open } from './support/world.js';

const url = 'amqp://guest:guest@fake/';
const there = { exchange: '', routingKey: 'q' };

function isCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isMessagingError(error, code) || assert.fail(`expected ${code}, not ${String(error)}`);
}

/** Lets everything go as far as it can without the clock. */
async function turns(count = 10): Promise<void> {
  for (let index = 0; index < count; index++) await new Promise((resolve) => setImmediate(resolve));
}

const ackEach: Script = {
  'basic.publish': (session, { channel }) => {
    session.send(channel, { name: 'basic.ack', deliveryTag: session.all('basic.publish').length });
  },
};

interface Open {
  readonly connection: DriverConnection;
  readonly broker: FakeBroker;
  readonly clock: SimulatedClock;
}

async function openTo(script: Script = {}): Promise<Open> {
  const broker = new FakeBroker(script);
  const clock = new SimulatedClock();
  const connection = await open(url, { network: broker.network, clock });
  return { connection, broker, clock };
}

/** Publishes once, so that the second connection stands; answers its session. */
async function warm({ connection, broker }: Open): Promise<FakeSession> {
  await connection.publish(there, message('warm'));
  return broker.session(1);
}

for (const step of ['connection.start', 'connection.start-ok', 'connection.tune-ok', 'connection.open']) {
  test(`a broker that hangs up at ${step} is a failed connect`, async () => {
    const broker = new FakeBroker({ [step]: (session: FakeSession) => session.hangUp() });
    await assert.rejects(open(url, { network: broker.network, clock: new SimulatedClock() }), isCode('CONNECT_FAILED'));
  });
}

for (const step of ['connection.start', 'connection.start-ok', 'connection.open']) {
  test(`a broker that is silent at ${step} is given up after the connect timeout`, async () => {
    const broker = new FakeBroker({ [step]: () => undefined });
    const clock = new SimulatedClock();
    const connecting = open(url, { network: broker.network, clock, connectTimeoutMs: 5_000 });
    const outcome = connecting.catch((error: unknown) => error);
    await turns();
    await clock.advance(5_000);
    isCode('CONNECT_FAILED')(await outcome);
    assert.equal(clock.timers, 0);
  });
}

test('a broker that hangs up on the login, and never says why, refused it', async () => {
  const broker = new FakeBroker({
    'connection.start': (session) => session.send(0, { ...startMethod, serverProperties: {} } as typeof startMethod),
    'connection.start-ok': (session) => session.hangUp(),
  });
  await assert.rejects(open(url, { network: broker.network }), isCode('LOGIN_REFUSED'));
});

test('connecting can be given up', async () => {
  const broker = new FakeBroker({ 'connection.open': () => undefined });
  const giveUp = new AbortController();
  const connecting = open(url, { network: broker.network, clock: new SimulatedClock(), signal: giveUp.signal });
  const outcome = connecting.catch((error: unknown) => error);
  await turns();
  giveUp.abort();
  isCode('ABORTED')(await outcome);
  await turns();
  assert.equal(broker.sessions[0]?.isEnded, true);
});

test('another protocol, and bytes that are none, are a failed connect', async () => {
  for (const bytes of ['AMQP\x03\x01\x00\x00', 'HTTP/1.1 400 Bad Request']) {
    const broker = new FakeBroker({ 'connection.start': (session) => session.raw(Buffer.from(bytes, 'latin1')) });
    await assert.rejects(open(url, { network: broker.network, clock: new SimulatedClock() }), isCode('CONNECT_FAILED'));
  }
});

test('bytes that are not AMQP end the connection, and the broker hears why', async () => {
  const { connection, broker } = await openTo();
  const session = await broker.session(0);
  session.raw(Buffer.from('nonsense'));
  assert.equal((await connection.closed)?.code, 'PROTOCOL_ERROR');
  await turns();
  assert.equal(session.all('connection.close')[0]?.command.method.replyCode, 501);
});

test('a stream that ends within a frame is a lost connection', async () => {
  const { connection, broker } = await openTo();
  const session = await broker.session(0);
  session.raw(encodeMethod(1, { name: 'basic.qos-ok' }).subarray(0, 9));
  session.hangUp();
  assert.equal((await connection.closed)?.code, 'CONNECTION_LOST');
});

test('a frame over the agreed size is refused', async () => {
  const { connection, broker } = await openTo({
    'connection.start-ok': (session) =>
      session.send(0, { name: 'connection.tune', channelMax: 0, frameMax: 4096, heartbeat: 0 }),
  });
  const session = await broker.session(0);
  session.raw(Uint8Array.of(3, 0, 1, 0, 0, 0x20, 0));
  assert.equal((await connection.closed)?.code, 'PROTOCOL_ERROR');
});

test('no frame is larger than the broker wants', async () => {
  const open4096 = await openTo({
    ...ackEach,
    'connection.start-ok': (session) =>
      session.send(0, { name: 'connection.tune', channelMax: 0, frameMax: 4096, heartbeat: 0 }),
  });
  const session = await warm(open4096);
  await open4096.connection.publish(there, message(Buffer.alloc(20_000)));
  assert.equal(session.largestFrameBytes, 4096);
  await open4096.connection.close();
});

test('confirms in any order, several at once and refusals each find their publish', async () => {
  const opened = await openTo({ 'basic.publish': () => undefined });
  const { connection, broker } = opened;
  const outcomes: string[] = [];
  const publishes = Array.from({ length: 8 }, (_, index) =>
    connection.publish(there, message(String(index))).then(
      () => outcomes.push(`${index} ok`),
      (error: { code: string }) => outcomes.push(`${index} ${error.code}`),
    ),
  );
  const session = await broker.session(1);
  const { channel } = await session.nth('basic.publish', 8);
  session.send(channel, { name: 'basic.ack', deliveryTag: 3 });
  session.send(channel, { name: 'basic.nack', deliveryTag: 2, multiple: true });
  session.send(channel, { name: 'basic.ack', deliveryTag: 8 });
  session.send(channel, { name: 'basic.nack', deliveryTag: 5 });
  session.send(channel, { name: 'basic.ack', deliveryTag: 0, multiple: true });
  await Promise.all(publishes);
  const [refused, fine] = ['NOT_CONFIRMED', 'ok'];
  const expected = [
    `2 ${fine}`,
    `0 ${refused}`,
    `1 ${refused}`,
    `7 ${fine}`,
    `4 ${refused}`,
    `3 ${fine}`,
    `5 ${fine}`,
    `6 ${fine}`,
  ];
  assert.deepEqual(outcomes, expected);
  await connection.close();
});

test('a return hits the message that it shows', async () => {
  const { connection, broker } = await openTo({ 'basic.publish': () => undefined });
  const results = ['a', 'b', 'a', 'c'].map((body) => connection.publish(there, message(body)));
  const settled = Promise.allSettled(results);
  const session = await broker.session(1);
  const { channel } = await session.nth('basic.publish', 4);
  const method = {
    name: 'basic.return',
    replyCode: 312,
    replyText: 'NO_ROUTE',
    exchange: '',
    routingKey: 'q',
  } as const;
  session.sendContent(channel, method, { properties: { headers: {} }, body: Buffer.from('b') });
  session.sendContent(channel, method, { properties: { headers: {} }, body: Buffer.from('a') });
  session.send(channel, { name: 'basic.ack', deliveryTag: 4, multiple: true });
  const codes = (await settled).map((result) =>
    result.status === 'fulfilled' ? 'ok' : (result.reason as { code: string }).code,
  );
  assert.deepEqual(codes, ['ok', 'UNROUTABLE', 'UNROUTABLE', 'ok']);
  await connection.close();
});

test('when the broker closes the channel, the innocent are sent once more and only the culprit fails', async () => {
  const bodies: string[] = [];
  const { connection, broker } = await openTo({
    'basic.publish': (session, { channel, command }) => {
      const body = Buffer.from(command.properties === undefined ? '' : command.body).toString();
      bodies.push(`${channel}:${body}`);
      if (bodies.length < 5) return;
      if (bodies.length === 5 || body === 'bad') {
        const why = { replyCode: 406, replyText: 'PRECONDITION_FAILED', classId: 60, methodId: 40 };
        return session.send(channel, { name: 'channel.close', ...why });
      }
      session.send(channel, {
        name: 'basic.ack',
        deliveryTag: bodies.filter((sent) => sent.startsWith(`${channel}:`)).length - offsetOf(bodies, channel),
      });
    },
    'confirm.select': (session, { channel }) => {
      bodies.push(`${channel}:open`);
      session.send(channel, { name: 'confirm.select-ok' });
    },
  });
  const results = await Promise.allSettled(
    ['1', '2', 'bad', '4'].map((body) => connection.publish(there, message(body))),
  );
  const codes = results.map((result) =>
    result.status === 'fulfilled' ? 'ok' : (result.reason as { code: string }).code,
  );
  assert.deepEqual(codes, ['ok', 'ok', 'PRECONDITION_FAILED', 'ok']);
  for (const body of ['1', '2', 'bad', '4']) {
    assert.equal(bodies.filter((sent) => sent.endsWith(`:${body}`)).length, 2, `${body} was sent twice`);
  }
  assert.equal((await broker.session(1)).all('channel.open').length, 3);
  await connection.close();
});

/** How many things were noted for the channel before its latest opening. */
function offsetOf(noted: readonly string[], channel: number): number {
  const mine = noted.filter((sent) => sent.startsWith(`${channel}:`));
  return mine.lastIndexOf(`${channel}:open`) + 1;
}

test('a blocked publisher waits, visibly, and goes on when the broker says so', async () => {
  const opened = await openTo(ackEach);
  const session = await warm(opened);
  const { connection } = opened;
  const seen: boolean[] = [];
  connection.onBlocked((isBlocked) => seen.push(isBlocked));
  session.send(0, { name: 'connection.blocked', reason: 'low on memory' });
  await turns();
  assert.equal(connection.isBlocked, true);
  const giveUp = new AbortController();
  const waiting = connection.publish(there, message('waits'));
  const givenUp = connection.publish(there, message('gives up'), giveUp.signal).catch((error: unknown) => error);
  await turns();
  assert.equal(session.all('basic.publish').length, 1);
  giveUp.abort();
  assert.deepEqual(((await givenUp) as { details: unknown }).details, { mayArrive: false });
  session.send(0, { name: 'connection.unblocked' });
  await waiting;
  assert.deepEqual(seen, [true, false]);
  assert.equal(session.all('basic.publish').length, 2);
  await connection.close();
});

test('a lost connection rejects what is under way and says what may have arrived', async () => {
  const opened = await openTo({ 'basic.publish': () => undefined, 'queue.declare': () => undefined });
  const { connection, broker } = opened;
  const sent = connection.publish(there, message('sent')).catch((error: unknown) => error);
  const session = await broker.session(1);
  await session.nth('basic.publish', 1);
  session.send(0, { name: 'connection.blocked', reason: '' });
  await turns();
  const waiting = connection.publish(there, message('waits')).catch((error: unknown) => error);
  const looking = connection.inspect({ queue: 'q' }).catch((error: unknown) => error);
  await turns();
  session.hangUp();
  const outcomes = (await Promise.all([sent, waiting, looking])) as { code: string; details: { mayArrive: boolean } }[];
  assert.deepEqual(
    outcomes.map(({ code, details }) => [code, details.mayArrive]),
    [
      ['CONNECTION_LOST', true],
      ['CONNECTION_LOST', false],
      ['CONNECTION_LOST', true],
    ],
  );
  assert.equal((await connection.closed)?.code, 'CONNECTION_LOST');
  await turns();
  assert.equal(broker.sessions[0]?.isEnded, true, 'the other connection goes too');
});

test('the broker closing the connection is a loss with its reason', async () => {
  const { connection, broker } = await openTo();
  const session = await broker.session(0);
  session.send(0, {
    name: 'connection.close',
    replyCode: 320,
    replyText: 'CONNECTION_FORCED',
    classId: 0,
    methodId: 0,
  });
  const reason = await connection.closed;
  assert.equal(reason?.code, 'CONNECTION_LOST');
  assert.equal(reason?.details['replyCode'], 320);
  await turns();
  assert.equal(session.all('connection.close-ok').length, 1);
});

async function consuming(
  opened: Open,
  credit = 10,
): Promise<{ session: FakeSession; channel: number; got: Collected<Delivery> }> {
  const got = new Collected<Delivery>();
  await opened.connection.consume({ queue: 'q' }, credit, got.add);
  const session = await opened.broker.session(0);
  const { channel } = await session.nth('basic.consume', 1);
  return { session, channel, got };
}

function deliver(session: FakeSession, channel: number, tags: readonly number[]): void {
  for (const deliveryTag of tags) {
    const method = { name: 'basic.deliver', consumerTag: '1', deliveryTag, exchange: '', routingKey: 'q' } as const;
    session.sendContent(channel, method, { properties: {}, body: Buffer.from(String(deliveryTag)) });
  }
}

test('accepts of one turn leave as one, up to the first that is still being worked on', async () => {
  const opened = await openTo();
  const { session, channel, got } = await consuming(opened);
  deliver(session, channel, [1, 2, 3, 4, 5, 6, 7]);
  const all = await got.atLeast(7);
  const settle = (...tags: number[]): void => tags.forEach((tag) => all[tag - 1]?.accept());
  settle(2, 1, 3, 5);
  await turns();
  settle(4);
  all[5]?.reject();
  settle(7);
  await turns();
  const acks = session.all('basic.ack').map(({ command: { method } }) => [method.deliveryTag, method.multiple]);
  assert.deepEqual(acks, [
    [3, true],
    [5, false],
    [7, true],
  ]);
  const [rejected] = session.all('basic.reject');
  assert.deepEqual([rejected?.command.method.deliveryTag, rejected?.command.method.requeue], [6, false]);
  await opened.connection.close();
});

test('many publishes of one turn are one write', async () => {
  const opened = await openTo(ackEach);
  const session = await warm(opened);
  const before = session.chunks;
  await Promise.all(Array.from({ length: 50 }, () => opened.connection.publish(there, message('x'))));
  assert.equal(session.chunks - before, 1);
  await opened.connection.close();
});

test('settling twice, or after the channel has gone, sends nothing and answers false', async () => {
  const opened = await openTo();
  const { session, channel, got } = await consuming(opened);
  deliver(session, channel, [1, 2]);
  const [first, second] = await got.atLeast(2);
  assert.deepEqual([first?.accept(), first?.accept(), first?.release()], [true, false, false]);
  session.send(channel, {
    name: 'channel.close',
    replyCode: 406,
    replyText: 'delivery acknowledgement timed out',
    classId: 0,
    methodId: 0,
  });
  await turns();
  const before = session.received.length;
  assert.equal(second?.accept(), false);
  await turns();
  assert.equal(session.received.length, before);
  await opened.connection.close();
});

test('a consumer ends with a reason when the broker ends it, and a stop hands nothing more out', async () => {
  const opened = await openTo({ 'basic.cancel': () => undefined });
  const got = new Collected<Delivery>();
  const consumer = await opened.connection.consume({ queue: 'q' }, 10, got.add);
  const session = await opened.broker.session(0);
  const { channel } = await session.nth('basic.consume', 1);
  const stopping = consumer.stop();
  await session.nth('basic.cancel', 1);
  deliver(session, channel, [1]);
  session.send(channel, { name: 'basic.cancel-ok', consumerTag: '1' });
  await stopping;
  await turns();
  assert.equal(got.items.length, 0);
  assert.equal(session.all('basic.reject')[0]?.command.method.requeue, true);
  assert.equal(session.all('channel.close').length, 1);

  const other = await opened.connection.consume({ queue: 'q' }, 10, got.add);
  const { channel: second } = await session.nth('basic.consume', 2);
  session.send(second, { name: 'basic.cancel', consumerTag: '1', noWait: true });
  assert.equal((await other.ended)?.code, 'CONSUMER_ENDED');
  await opened.connection.close();
});

test('a receive-only client says that it lives, and silence of two intervals ends it', async () => {
  const opened = await openTo();
  const { clock, connection } = opened;
  const { session, channel, got } = await consuming(opened, 1000);
  for (let second = 1; second <= 60; second++) {
    deliver(session, channel, [second]);
    await clock.advance(1_000);
  }
  assert.equal(got.items.length, 60);
  assert.ok(session.heartbeats >= 6, `${session.heartbeats} heartbeats in 60 s of a 10 s interval`);
  const deadAt = clock.monotonicMs();
  let isOver = false;
  void connection.closed.then(() => (isOver = true));
  await clock.advance(15_000);
  assert.equal(isOver, false);
  await clock.advance(10_000);
  assert.equal((await connection.closed)?.code, 'CONNECTION_LOST');
  assert.ok(clock.monotonicMs() - deadAt <= 25_000, 'within two intervals and a tick');
  assert.equal(clock.timers, 0);
});

test('close waits for the confirms that are under way', async () => {
  const { connection, broker } = await openTo({ 'basic.publish': () => undefined });
  const publishing = connection.publish(there, message('x'));
  const session = await broker.session(1);
  const { channel } = await session.nth('basic.publish', 1);
  const closing = connection.close();
  await turns();
  assert.equal(session.all('connection.close').length, 0);
  session.send(channel, { name: 'basic.ack', deliveryTag: 1 });
  await publishing;
  await closing;
  assert.equal(await connection.closed, undefined);
});

test('close does not wait for ever for a broker that is silent', async () => {
  const { connection, broker, clock } = await openTo({ 'connection.close': () => undefined });
  const closing = connection.close();
  await turns();
  await clock.advance(2_000);
  await closing;
  await turns();
  assert.equal(broker.sessions[0]?.isEnded, true);
  assert.equal(clock.timers, 0);
});

test('content in the smallest pieces is put together', async () => {
  const opened = await openTo();
  const { session, channel, got } = await consuming(opened);
  const method: MethodNamed<'basic.deliver'> = {
    name: 'basic.deliver',
    consumerTag: '1',
    deliveryTag: 1,
    redelivered: false,
    exchange: '',
    routingKey: 'q',
  };
  const bytes = encodeContent(channel, method, { properties: {}, body: Buffer.alloc(10_000, 'z') }, 4096);
  for (const byte of bytes) session.raw(Uint8Array.of(byte));
  const [delivery] = await got.atLeast(1);
  assert.equal(delivery?.message.body.byteLength, 10_000);
  await opened.connection.close();
});

for (const login of ['PLAIN', 'AMQPLAIN', 'EXTERNAL'] as const) {
  test(`login by ${login}`, async () => {
    const broker = new FakeBroker();
    const connection = await open(`amqp://us%20er:pa%3Ass@fake/?login_method=${login}`, {
      network: broker.network,
      connectionName: 'me',
    });
    const { method } = await (await broker.session(0)).nth('connection.start-ok', 1);
    assert.equal(method.mechanism, login);
    const response = Buffer.from(method.response).toString('latin1');
    const expected = {
      PLAIN: '\0us er\0pa:ss',
      AMQPLAIN: '\x05LOGINS\0\0\0\x05us er\x08PASSWORDS\0\0\0\x05pa:ss',
      EXTERNAL: '',
    };
    assert.equal(response, expected[login]);
    assert.equal(method.clientProperties['connection_name'], 'me');
    await connection.close();
  });
}

test('answers are accepted a little later, all of them in one word', async () => {
  const opened = await openTo();
  const { connection, broker, clock } = opened;
  const session = await broker.session(0);
  const got: string[] = [];
  await connection.openReplies('reply_1', 60_000, ({ body }) => got.push(Buffer.from(body).toString()));
  const channel = session.all('basic.consume')[0]?.channel ?? assert.fail('nobody consumes');
  for (const deliveryTag of [1, 2, 3]) {
    const deliver = { name: 'basic.deliver', consumerTag: '1', deliveryTag, redelivered: false } as const;
    const content = { properties: {}, body: Buffer.from(`answer ${deliveryTag}`) };
    session.sendContent(channel, { ...deliver, exchange: '', routingKey: 'reply_1' }, content);
    await turns();
  }
  assert.deepEqual(got, ['answer 1', 'answer 2', 'answer 3']);
  assert.equal(session.all('basic.ack').length, 0);
  await clock.advance(10);
  await turns();
  const acks = session.all('basic.ack').map(({ command }) => command.method as MethodNamed<'basic.ack'>);
  assert.deepEqual(
    acks.map(({ deliveryTag, multiple }) => ({ deliveryTag, multiple })),
    [{ deliveryTag: 3, multiple: true }],
  );
  await connection.close();
  assert.equal(clock.timers, 0);
});

test('what leaves anyway, and a goodbye, takes the accepts of answers along', async () => {
  const { connection, broker } = await openTo();
  const session = await broker.session(0);
  await connection.openReplies('reply_1', 60_000, () => undefined);
  const channel = session.all('basic.consume')[0]?.channel ?? assert.fail('nobody consumes');
  const answer = async (deliveryTag: number): Promise<void> => {
    const deliver = { name: 'basic.deliver', consumerTag: '1', deliveryTag, redelivered: false } as const;
    const content = { properties: {}, body: Buffer.from('answer') };
    session.sendContent(channel, { ...deliver, exchange: '', routingKey: 'reply_1' }, content);
    await turns();
  };
  await answer(1);
  await connection.inspect({ queue: 'q' }).catch(() => undefined);
  assert.equal(session.all('basic.ack').length, 1);
  await answer(2);
  assert.equal(session.all('basic.ack').length, 1);
  await connection.close();
  const names = session.received.map(({ command }) => command.method.name);
  assert.deepEqual(
    names.filter((name) => name === 'basic.ack' || name === 'connection.close'),
    ['basic.ack', 'basic.ack', 'connection.close'],
  );
});
