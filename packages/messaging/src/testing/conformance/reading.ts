import type { Delivery } from '../../driver.js';
import { Collected, expect, expectCode, expectEqual, text, within } from '../expect.js';
import { byName, message, withLetters, type Sentence } from '../sentence.js';
import { accept } from './settlement.js';

/** Order, credit, and when a consumer ends. */
export const reading: readonly Sentence[] = [
  {
    says: 'letters come in the order in which they were confirmed',
    holds: async (harness) => {
      const bodies = Array.from({ length: 50 }, (_, at) => String(at));
      const { connection, mailbox } = await withLetters(harness, bodies);
      const seen = new Collected<string>();
      const consumer = await connection.consume(mailbox.source, 10, (delivery) => {
        delivery.accept();
        seen.add(text(delivery.message.body));
      });
      expectEqual(await seen.atLeast(bodies.length, 'letters'), bodies, 'the order');
      await consumer.stop();
    },
  },
  {
    says: 'publishes may overlap: each is confirmed, and each arrives once',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      const bodies = Array.from({ length: 200 }, (_, at) => String(at));
      await Promise.all(bodies.map((body) => connection.publish(byName(mailbox), message(body))));
      const seen = new Collected<string>();
      await connection.consume(mailbox.source, 50, (delivery) => {
        delivery.accept();
        seen.add(text(delivery.message.body));
      });
      await seen.atLeast(bodies.length, 'letters');
      expectEqual(seen.items.toSorted(), bodies.toSorted(), 'every letter once');
    },
  },
  {
    says: 'readers of one queue share its messages, each goes to one of them',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      const other = await harness.open();
      const seen = new Collected<string>();
      const busy = new Set<string>();
      const read = (name: string) => (delivery: Delivery) => {
        busy.add(name);
        seen.add(text(delivery.message.body));
        delivery.accept();
      };
      await connection.consume(mailbox.source, 1, read('one'));
      await other.consume(mailbox.source, 1, read('two'));
      const bodies = Array.from({ length: 40 }, (_, at) => String(at));
      for (const body of bodies) await connection.publish(byName(mailbox), message(body));
      await seen.atLeast(bodies.length, 'letters');
      expectEqual(seen.items.toSorted(), bodies.toSorted(), 'every letter once');
      expectEqual([...busy].toSorted(), ['one', 'two'], 'both had some');
    },
  },
  {
    says: 'no more deliveries are unsettled than the credit allows, and settling one makes room for one',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['1', '2', '3', '4', '5', '6']);
      const other = await harness.open();
      const seen = new Collected<Delivery>();
      await connection.consume(mailbox.source, 2, (delivery) => seen.add(harness.track(delivery)));
      await seen.atLeast(2, 'deliveries');
      // Had the reader more than its credit, this one would not be there to fetch.
      const third = await other.get(mailbox.source);
      expectEqual(third === undefined ? undefined : text(third.message.body), '3', 'the next waits in the queue');
      third?.accept();
      accept(first(seen), '1');
      await seen.atLeast(3, 'deliveries');
      expectEqual(text(seen.items[2]?.message.body ?? new Uint8Array()), '4', 'one more came');
      const fifth = await other.get(mailbox.source);
      expectEqual(fifth === undefined ? undefined : text(fifth.message.body), '5', 'and no other');
      fifth?.accept();
      for (const delivery of seen.items.slice(1)) delivery.accept();
      (await seen.atLeast(4, 'deliveries'))[3]?.accept();
    },
  },
  {
    says: 'a raised credit lets more deliveries through',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['1', '2', '3']);
      const seen = new Collected<Delivery>();
      const consumer = await connection.consume(mailbox.source, 1, (delivery) => seen.add(harness.track(delivery)));
      await seen.atLeast(1, 'delivery');
      consumer.setCredit(3);
      await seen.atLeast(3, 'deliveries');
      for (const delivery of seen.items) delivery.accept();
    },
  },
  {
    says: 'after stop no delivery comes, and the consumer ended without a reason',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      const seen = new Collected<Delivery>();
      const consumer = await connection.consume(mailbox.source, 5, seen.add);
      await consumer.stop();
      expect((await within(consumer.ended, 'the end of the consumer')) === undefined, 'no reason');
      await connection.publish(byName(mailbox), message('a'));
      accept(await harness.next(connection, mailbox.source), 'a');
      expectEqual(seen.items.length, 0, 'deliveries after stop');
    },
  },
  {
    says: 'a consumer whose queue is deleted says so',
    needs: ['administers'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      const consumer = await connection.consume(mailbox.source, 1, () => undefined);
      await (await harness.open()).delete(mailbox.source);
      const reason = await within(consumer.ended, 'the end of the consumer');
      expectEqual(reason?.code, 'CONSUMER_ENDED', 'the reason');
    },
  },
  {
    says: 'a queue that does not exist is NOT_FOUND, and the connection goes on',
    needs: ['refusesMissing'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      const nowhere = { queue: harness.name('nowhere') };
      await expectCode(connection.get(nowhere), 'NOT_FOUND');
      await expectCode(
        connection.consume(nowhere, 1, () => undefined),
        'NOT_FOUND',
      );
      if (connection.capabilities.inspects) await expectCode(connection.inspect(nowhere), 'NOT_FOUND');
      accept(await harness.next(connection, mailbox.source), 'a');
    },
  },
  {
    says: 'with a single reader the others wait, and the next takes over when it goes',
    needs: ['bounds'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, [], { singleReader: true });
      const other = await harness.open();
      const [mine, theirs] = [new Collected<string>(), new Collected<string>()];
      const read = (seen: Collected<string>) => (delivery: Delivery) => {
        delivery.accept();
        seen.add(text(delivery.message.body));
      };
      const first = await connection.consume(mailbox.source, 1, read(mine));
      await other.consume(mailbox.source, 1, read(theirs));
      for (const body of ['1', '2', '3']) await connection.publish(byName(mailbox), message(body));
      await mine.atLeast(3, 'letters');
      expectEqual(theirs.items.length, 0, 'letters of the second reader');
      await first.stop();
      await connection.publish(byName(mailbox), message('4'));
      expectEqual(await theirs.atLeast(1, 'letter'), ['4'], 'the second reader takes over');
    },
  },
];

function first(seen: Collected<Delivery>): Delivery {
  const [delivery] = seen.items;
  if (delivery === undefined) throw new Error('nothing was delivered');
  return delivery;
}
