import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { isMessagingError, type Delivery, type DriverConnection, type ErrorCode } from '@torcello/messaging';
import type { RabbitMq } from '@torcello/test-support';
import { rabbitTest, startFresh } from './support/rabbit.js';
import { Collected, mailbox, message, open, text } from './support/world.js';

let rabbit: RabbitMq | undefined;
let url: string;
before(async () => {
  const fresh = await startFresh();
  rabbit = fresh?.rabbit;
  url = fresh?.url ?? '';
});
after(() => rabbit?.stop());

function isCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isMessagingError(error, code) || assert.fail(`expected ${code}, not ${String(error)}`);
}

async function withConnection(work: (connection: DriverConnection) => Promise<void>, query = ''): Promise<void> {
  const connection = await open(`${url}${query}`);
  try {
    await work(connection);
  } finally {
    await connection.close();
  }
}

for (const query of ['', '?queue_type=classic', '?login_method=AMQPLAIN', '?frame_max=4096']) {
  rabbitTest(`a message goes in and comes out as it was (${query})`, () =>
    withConnection(async (connection) => {
      const name = `round${query}`;
      await connection.ensure(mailbox(name));
      await connection.ensure(mailbox(name));
      const body = Buffer.alloc(20_000, 'ab');
      const properties = {
        messageId: 'm1',
        contentType: 'application/json',
        priority: 3,
        timestampMs: 1_700_000_000_000,
      };
      const headers = {
        big: 3_000_000_000,
        tenth: 0.1,
        n: 2n ** 60n,
        bytes: Buffer.from('x'),
        nested: { a: [1, 'b', null] },
      };
      await connection.publish({ exchange: '', routingKey: name }, message(body, { properties, headers }));
      const delivery = await connection.get({ queue: name });
      assert.ok(delivery, 'there is one');
      assert.deepEqual(Buffer.from(delivery.message.body), body);
      assert.deepEqual(delivery.message.properties, properties);
      assert.deepEqual(delivery.message.headers, { ...headers, bytes: Uint8Array.from(headers.bytes) });
      assert.equal(delivery.earlierDeliveries, 0);
      assert.equal(delivery.accept(), true);
      assert.equal(delivery.accept(), false);
      assert.equal(await connection.get({ queue: name }), undefined);
      assert.deepEqual(await connection.inspect({ queue: name }), { messages: 0, consumers: 0 });
    }, query),
  );
}

rabbitTest('wrong password and wrong vhost are refused logins, each by its code', async () => {
  await assert.rejects(open(url.replace('guest:guest', 'guest:wrong')), isCode('LOGIN_REFUSED'));
  await assert.rejects(open(rabbit?.url('nowhere') ?? ''), isCode('LOGIN_REFUSED'));
  await assert.rejects(open(`${url}?login_method=EXTERNAL`), isCode('LOGIN_REFUSED'));
  await assert.rejects(open(`${url}?no_such_option=1`), isCode('INVALID_URL'));
});

rabbitTest('hosts are tried in order, each once', async () => {
  const [, rest = ''] = url.split('://');
  const connection = await open(`amqp://guest:guest@127.0.0.1:1,${rest}`);
  await connection.close();
  await assert.rejects(open('amqp://127.0.0.1:1,127.0.0.1:2/'), isCode('CONNECT_FAILED'));
});

rabbitTest('each operation has its own error, and the others go on', () =>
  withConnection(async (connection) => {
    const queue = 'operations';
    await connection.ensure(mailbox(queue));
    const [missing, found, other, look, removed] = await Promise.allSettled([
      connection.get({ queue: 'none' }),
      connection.inspect({ queue }),
      connection.ensure(mailbox(queue, { lengthMax: 5 })),
      connection.inspect({ queue: 'none' }),
      connection.delete({ queue: 'none' }),
    ]);
    assert.equal(missing.status === 'rejected' && isCode('NOT_FOUND')(missing.reason), true);
    assert.equal(found.status, 'fulfilled');
    assert.equal(other.status === 'rejected' && isCode('PRECONDITION_FAILED')(other.reason), true);
    assert.equal(look.status === 'rejected' && isCode('NOT_FOUND')(look.reason), true);
    assert.equal(removed.status, 'fulfilled');
    await assert.rejects(
      connection.consume({ queue: 'none' }, 1, () => undefined),
      isCode('NOT_FOUND'),
    );
  }),
);

rabbitTest('a pipeline with one missing exchange and one missing queue: each error finds its publish', () =>
  withConnection(async (connection) => {
    const queue = 'pipeline';
    await connection.ensure(mailbox(queue));
    const here = { exchange: '', routingKey: queue };
    const results = await Promise.allSettled([
      connection.publish(here, message('1')),
      connection.publish({ exchange: '', routingKey: 'nobody' }, message('2')),
      connection.publish({ exchange: 'missing', routingKey: 'k' }, message('3')),
      connection.publish(here, message('4')),
      connection.publish({ exchange: 'missing', routingKey: 'k' }, message('5', { ifNobody: 'drop' })),
      connection.publish(here, message('6')),
      connection.publish({ exchange: '', routingKey: 'nobody' }, message('7', { ifNobody: 'drop' })),
    ]);
    const codes = results.map((result) =>
      result.status === 'fulfilled' ? 'ok' : (result.reason as { code: string }).code,
    );
    assert.deepEqual(codes, ['ok', 'UNROUTABLE', 'UNROUTABLE', 'ok', 'UNROUTABLE', 'ok', 'ok']);
    const bodies = new Set<string>();
    for (;;) {
      const delivery = await connection.get({ queue });
      if (delivery === undefined) break;
      bodies.add(text(delivery.message.body));
      delivery.accept();
    }
    assert.deepEqual([...bodies].toSorted(), ['1', '4', '6']);
  }),
);

rabbitTest('3,000 publishes of which 1,000 have no queue: every one hears its own fate', () =>
  withConnection(async (connection) => {
    await connection.ensure(mailbox('returns'));
    const results = await Promise.allSettled(
      Array.from({ length: 3000 }, (_, index) =>
        connection.publish({ exchange: '', routingKey: index % 3 === 0 ? 'nobody' : 'returns' }, message('same body')),
      ),
    );
    const isWrong = results.some((result, index) => (result.status === 'rejected') !== (index % 3 === 0));
    assert.equal(isWrong, false);
    assert.equal((await connection.inspect({ queue: 'returns' })).messages, 2000);
  }),
);

rabbitTest('four missing exchanges in 2,000 publishes: four fail, nothing else is lost', () =>
  withConnection(async (connection) => {
    const queue = 'volume';
    await connection.ensure(mailbox(queue));
    const isBad = (index: number): boolean => index % 500 === 250;
    const results = await Promise.allSettled(
      Array.from({ length: 2000 }, (_, index) => {
        const bad = { exchange: `missing ${index}`, routingKey: 'k' };
        return connection.publish(isBad(index) ? bad : { exchange: '', routingKey: queue }, message(String(index)));
      }),
    );
    const isWrong = results.some((result, index) => (result.status === 'rejected') !== isBad(index));
    assert.equal(isWrong, false);
    const bodies = new Set<string>();
    const got = new Collected<Delivery>();
    const { messages } = await connection.inspect({ queue });
    await connection.consume({ queue }, 500, (delivery) => {
      bodies.add(text(delivery.message.body));
      delivery.accept();
      got.add(delivery);
    });
    await got.atLeast(messages);
    assert.equal(bodies.size, 1996);
  }),
);

rabbitTest('a full mailbox refuses the message to its sender', () =>
  withConnection(async (connection) => {
    await connection.ensure(mailbox('full', { lengthMax: 1 }));
    const put = (): Promise<void> => connection.publish({ exchange: '', routingKey: 'full' }, message('x'));
    // RabbitMQ's limit of a quorum queue is soft: it lets in what was under way.
    for (let index = 0; index < 3; index++) await put().catch(isCode('NOT_CONFIRMED'));
    await assert.rejects(put(), isCode('NOT_CONFIRMED'));
  }),
);

rabbitTest('what is too large is refused before it is sent', () =>
  withConnection(async (connection) => {
    const there = { exchange: '', routingKey: 'anywhere' };
    await assert.rejects(connection.publish(there, message(new Uint8Array(134_217_729))), isCode('TOO_LARGE'));
    await assert.rejects(
      connection.publish(there, message('x', { headers: { big: 'x'.repeat(200_000) } })),
      isCode('TOO_LARGE'),
    );
    const tooLong = 'k'.repeat(256);
    await assert.rejects(connection.publish({ exchange: '', routingKey: tooLong }, message('x')), TypeError);
    await assert.rejects(connection.ensure(mailbox(tooLong)), TypeError);
    await assert.rejects(connection.get({ queue: tooLong }), TypeError);
    await assert.rejects(
      connection.consume({ queue: tooLong }, 1, () => undefined),
      TypeError,
    );
  }),
);

rabbitTest('an aborted publish says whether the message may still arrive', () =>
  withConnection(async (connection) => {
    const there = { exchange: '', routingKey: 'abort' };
    await connection.ensure(mailbox('abort'));
    await assert.rejects(connection.publish(there, message('x'), AbortSignal.abort()), {
      code: 'ABORTED',
      details: { mayArrive: false },
    });
    await connection.publish(there, message('warm'));
    const giveUp = new AbortController();
    const publishing = connection.publish(there, message('x'), giveUp.signal);
    giveUp.abort();
    await assert.rejects(publishing, { code: 'ABORTED', details: { mayArrive: true } });
  }),
);

rabbitTest('a consumer gets no more than its credit, and the accepts of one turn leave as one', () =>
  withConnection(async (connection) => {
    const queue = 'credit';
    await connection.ensure(mailbox(queue));
    for (let index = 0; index < 10; index++)
      await connection.publish({ exchange: '', routingKey: queue }, message(String(index)));
    const got = new Collected<Delivery>();
    const consumer = await connection.consume({ queue }, 3, got.add);
    const first = [...(await got.atLeast(3))];
    assert.deepEqual(
      first.map(({ message: { body } }) => text(body)),
      ['0', '1', '2'],
    );
    assert.equal((await connection.inspect({ queue })).messages, 7);
    assert.equal(got.items.length, 3);
    first[2]?.accept();
    await got.atLeast(4);
    for (const delivery of got.items) delivery.accept();
    await got.atLeast(7);
    consumer.setCredit(100);
    for (const delivery of got.items) delivery.accept();
    await got.atLeast(10);
    await consumer.stop();
    assert.equal(await consumer.ended, undefined);
    for (const delivery of got.items) delivery.accept();
    await connection.close();
    await withConnection(async (later) => {
      assert.equal((await later.inspect({ queue })).messages, 0, 'accepted right before closing is accepted');
    });
  }),
);

rabbitTest('a released message comes back and is counted, a rejected one does not', () =>
  withConnection(async (connection) => {
    const queue = 'released';
    await connection.ensure(mailbox(queue));
    await connection.publish({ exchange: '', routingKey: queue }, message('x'));
    const first = await connection.get({ queue });
    assert.deepEqual([first?.redelivered, first?.earlierDeliveries, first?.release()], [false, 0, true]);
    const second = await connection.get({ queue });
    assert.deepEqual([second?.redelivered, second?.earlierDeliveries, second?.reject()], [true, 1, true]);
    assert.equal(await connection.get({ queue }), undefined);
  }),
);

rabbitTest('an accept never takes an unsettled delivery with it', () =>
  withConnection(async (connection) => {
    const queue = 'merge';
    await connection.ensure(mailbox(queue));
    for (let index = 0; index < 10; index++)
      await connection.publish({ exchange: '', routingKey: queue }, message(String(index)));
    const got = new Collected<Delivery>();
    await connection.consume({ queue }, 10, got.add);
    const all = await got.atLeast(10);
    for (const index of [0, 1, 2, 4, 5, 9, 7]) all[index]?.accept();
    await connection.close();
    await withConnection(async (later) => {
      const back = new Collected<Delivery>();
      await later.consume({ queue }, 10, back.add);
      const left = await back.atLeast(3);
      assert.deepEqual(left.map(({ message: { body } }) => text(body)).toSorted(), ['3', '6', '8']);
      for (const delivery of left) delivery.reject();
    });
  }),
);

rabbitTest('a consumer says why it ended', () =>
  withConnection(async (connection) => {
    const queue = 'ends';
    await connection.ensure(mailbox(queue));
    const consumer = await connection.consume({ queue }, 1, () => undefined);
    await connection.delete({ queue });
    const reason = await consumer.ended;
    assert.equal(reason?.code, 'CONSUMER_ENDED');
    await connection.ensure(mailbox(queue));
    await connection.publish({ exchange: '', routingKey: queue }, message('again'));
    const got = new Collected<Delivery>();
    await connection.consume({ queue }, 1, got.add);
    await got.atLeast(1);
  }),
);

rabbitTest('a settlement after the connection is gone changes nothing and says so', async () => {
  const connection = await open(url);
  await connection.ensure(mailbox('stale'));
  await connection.publish({ exchange: '', routingKey: 'stale' }, message('x'));
  const stale = await connection.get({ queue: 'stale' });
  await connection.close();
  await connection.close();
  assert.equal(await connection.closed, undefined);
  assert.equal(stale?.accept(), false);
  await assert.rejects(connection.publish({ exchange: '', routingKey: 'stale' }, message('x')), isCode('CLOSED'));
  await withConnection(async (later) => assert.equal((await later.get({ queue: 'stale' }))?.accept(), true));
});

rabbitTest('shared queues and fanouts get what their keys say', () =>
  withConnection(async (connection) => {
    const reachedBy = [{ exchange: 'events', routingKey: 'a.*' }];
    await connection.ensure({ kind: 'shared', source: { queue: 'shared' }, reachedBy, options: {} });
    for (const queue of ['fan1', 'fan2']) {
      await connection.ensure({
        kind: 'fanout',
        source: { queue },
        reachedBy: [{ exchange: 'fan', routingKey: '' }],
        options: {},
      });
    }
    await connection.publish({ exchange: 'events', routingKey: 'a.b' }, message('1'));
    await assert.rejects(
      connection.publish({ exchange: 'events', routingKey: 'b' }, message('2')),
      isCode('UNROUTABLE'),
    );
    await connection.publish({ exchange: 'fan', routingKey: '' }, message('3'));
    for (const queue of ['shared', 'fan1', 'fan2'])
      assert.equal((await connection.get({ queue }))?.accept(), true, queue);
  }),
);

rabbitTest('answers wait for their program over a reconnect', async () => {
  const connection = await open(url);
  const there = await connection.openReplies('reply_test', 60_000, () => undefined);
  await connection.close();
  await withConnection(async (later) => {
    await later.publish(there, message('answer'));
    const got = new Collected<string>();
    await later.openReplies('reply_test', 60_000, ({ body }) => got.add(text(body)));
    assert.deepEqual(await got.atLeast(1), ['answer']);
  });
});

rabbitTest('a reader that throws ends the connection, and its message comes back', async () => {
  const connection = await open(url);
  await connection.ensure(mailbox('throws'));
  await connection.publish({ exchange: '', routingKey: 'throws' }, message('x'));
  await connection.consume({ queue: 'throws' }, 1, () => {
    throw new Error('a mistake');
  });
  assert.equal((await connection.closed)?.code, 'CONNECTION_LOST');
  await withConnection(async (later) => {
    const got = new Collected<Delivery>();
    await later.consume({ queue: 'throws' }, 1, got.add);
    const [back] = await got.atLeast(1);
    assert.equal(back?.redelivered, true);
    back?.accept();
  });
});
