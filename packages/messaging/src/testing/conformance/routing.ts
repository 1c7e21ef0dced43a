import type { Topology } from '../../driver.js';
import { Collected, expect, expectCode, expectEqual, text } from '../expect.js';
import { byName, message, withLetters, type Sentence } from '../sentence.js';
import { accept } from './settlement.js';

/** Where messages go, and what the sender hears when they go nowhere. */
export const routing: readonly Sentence[] = [
  {
    says: 'a message that no queue takes is UNROUTABLE, and the connection goes on',
    needs: ['returns'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      await expectCode(
        connection.publish({ exchange: '', routingKey: harness.name('nowhere') }, message('x')),
        'UNROUTABLE',
      );
      await connection.publish(byName(mailbox), message('a'));
      accept(await harness.next(connection, mailbox.source), 'a');
    },
  },
  {
    says: 'a message that may go nowhere resolves when it does',
    holds: async (harness) => {
      const connection = await harness.open();
      await connection.publish(
        { exchange: '', routingKey: harness.name('nowhere') },
        message('x', { ifNobody: 'drop' }),
      );
    },
  },
  {
    says: 'an exchange that does not exist is UNROUTABLE, and other publishes in flight arrive',
    needs: ['returns'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      const lost = { exchange: harness.name('exchange'), routingKey: 'k' };
      const [nowhere, ...rest] = [
        connection.publish(lost, message('x')),
        ...['a', 'b', 'c'].map((body) => connection.publish(byName(mailbox), message(body))),
      ];
      if (nowhere !== undefined) await expectCode(nowhere, 'UNROUTABLE');
      await Promise.all(rest);
      const bodies = new Set<string>();
      while (bodies.size < 3) {
        const delivery = await harness.next(connection, mailbox.source);
        bodies.add(text(delivery.message.body));
        delivery.accept();
      }
      expectEqual([...bodies].toSorted(), ['a', 'b', 'c'], 'the innocent publishes');
    },
  },
  {
    says: 'keys are matched by pattern: a star is one word, a hash any number',
    needs: ['returns', 'routes'],
    holds: async (harness) => {
      const connection = await harness.open();
      const exchange = harness.name('exchange');
      const patterns = ['a.*', 'b.#', '*.z'];
      const queue = shared(
        harness.name('queue'),
        patterns.map((routingKey) => ({ exchange, routingKey })),
      );
      await connection.ensure(queue);
      for (const key of ['a.b', 'b', 'b.c.d', 'x.z'])
        await connection.publish({ exchange, routingKey: key }, message(key));
      for (const key of ['a', 'a.b.c', 'x.y', 'z']) {
        await expectCode(connection.publish({ exchange, routingKey: key }, message(key)), 'UNROUTABLE');
      }
      for (const key of ['a.b', 'b', 'b.c.d', 'x.z']) accept(await harness.next(connection, queue.source), key);
    },
  },
  {
    says: 'every queue that a key reaches gets a copy, once, whatever number of patterns fit',
    needs: ['routes'],
    holds: async (harness) => {
      const connection = await harness.open();
      const exchange = harness.name('exchange');
      const to = { exchange, routingKey: 'a.b' };
      const one = shared(harness.name('one'), [to, { exchange, routingKey: 'a.*' }, { exchange, routingKey: '#' }]);
      const two = shared(harness.name('two'), [{ exchange, routingKey: '#.b' }]);
      for (const topology of [one, two]) await connection.ensure(topology);
      await connection.publish(to, message('x'));
      for (const { source } of [one, two]) {
        accept(await harness.next(connection, source), 'x');
        expect((await connection.get(source)) === undefined, 'one copy only');
      }
    },
  },
  {
    says: 'a fanout exchange copies every message to every queue, whatever the key',
    needs: ['fanout'],
    holds: async (harness) => {
      const connection = await harness.open();
      const topic = harness.name('topic');
      const exchange = `${topic}_fanout`;
      const target = { service: 'rpc', exchange: 'openstack', topic, fanout: true } as const;
      const queues = ['one', 'two', 'three'].map((word): Topology => ({
        kind: 'fanout',
        source: { queue: harness.name(word), target },
        reachedBy: [{ exchange, routingKey: 'topic', target }],
        options: { expiresMs: 60_000 },
      }));
      const seen = new Collected<string>();
      for (const topology of queues) {
        await connection.ensure(topology);
        await connection.consume(topology.source, 1, (delivery) => {
          delivery.accept();
          seen.add(topology.source.queue);
        });
      }
      await connection.publish({ exchange, routingKey: '', target }, message('x', { ifNobody: 'drop' }));
      const wanted = queues.map(({ source }) => source.queue);
      expectEqual((await seen.atLeast(3, 'copies')).toSorted(), wanted.toSorted(), 'who got one');
    },
  },
  {
    says: 'a delivery tells where its message was published to',
    needs: ['routes'],
    holds: async (harness) => {
      const connection = await harness.open();
      const exchange = harness.name('exchange');
      const queue = shared(harness.name('queue'), [{ exchange, routingKey: '#' }]);
      await connection.ensure(queue);
      await connection.publish({ exchange, routingKey: 'some.key' }, message('x'));
      const delivery = await harness.next(connection, queue.source);
      expectEqual(delivery.destination, { exchange, routingKey: 'some.key' }, 'destination');
      accept(delivery, 'x');
    },
  },
  {
    says: 'making the same topology again changes nothing',
    needs: ['bounds'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a'], { lengthMax: 10, whenFull: 'refuse' });
      await connection.ensure(mailbox);
      await (await harness.open()).ensure(mailbox);
      accept(await harness.next(connection, mailbox.source), 'a');
    },
  },
  {
    says: 'making it with other options is PRECONDITION_FAILED, and the connection goes on',
    needs: ['bounds'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      await expectCode(connection.ensure({ ...mailbox, options: { messageTtlMs: 5_000 } }), 'PRECONDITION_FAILED');
      accept(await harness.next(connection, mailbox.source), 'a');
    },
  },
  {
    says: 'a queue tells how many messages wait and how many consumers read',
    needs: ['inspects'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      expectEqual(await connection.inspect(mailbox.source), { messages: 0, consumers: 0 }, 'an empty queue');
      await connection.consume(mailbox.source, 1, () => undefined);
      expectEqual((await connection.inspect(mailbox.source)).consumers, 1, 'consumers');
    },
  },
  {
    says: 'a queue can be deleted with what is in it, and deleting it again is fine',
    needs: ['administers', 'returns'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      await connection.delete(mailbox.source);
      await connection.delete(mailbox.source);
      await expectCode(connection.publish(byName(mailbox), message('x')), 'UNROUTABLE');
      await connection.ensure(mailbox);
      expect((await connection.get(mailbox.source)) === undefined, 'a new queue of the name is empty');
    },
  },
  {
    says: 'a letter waits for a reader that has never been there',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      await connection.close();
      accept(await harness.next(await harness.open(), mailbox.source), 'a');
    },
  },
];

function shared(queue: string, reachedBy: Topology['reachedBy']): Topology {
  return { kind: 'shared', source: { queue }, reachedBy, options: {} };
}
