import { expect, expectEqual, text } from '../expect.js';
import { byName, message, withLetters, type Sentence } from '../sentence.js';
import type { Delivery } from '../../driver.js';

/** A delivery is settled once, and what settling means. */
export const settlement: readonly Sentence[] = [
  {
    says: 'an accepted delivery never comes back, not even to a later connection',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a', 'b']);
      accept(await harness.next(connection, mailbox.source), 'a');
      await connection.close();
      const later = await harness.open();
      accept(await harness.next(later, mailbox.source), 'b');
      expect((await later.get(mailbox.source)) === undefined, 'the mailbox is empty');
    },
  },
  {
    says: 'a released delivery comes back marked redelivered',
    needs: ['redelivers'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      const first = await harness.next(connection, mailbox.source);
      expect(!first.redelivered, 'the first delivery is not marked');
      expect(first.release(), 'it can be released');
      const again = await harness.next(connection, mailbox.source);
      expect(again.redelivered, 'redelivered is set');
      accept(again, 'a');
    },
  },
  {
    says: 'a released delivery comes before younger ones',
    needs: ['redelivers', 'inspects'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a', 'b', 'c']);
      (await harness.next(connection, mailbox.source)).release();
      await harness.untilWaiting(connection, mailbox.source, 3);
      for (const body of ['a', 'b', 'c']) accept(await harness.next(connection, mailbox.source), body);
    },
  },
  {
    says: 'a delivery of a closed connection cannot be accepted any more, and comes to the next one',
    needs: ['redelivers'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      const stale = await harness.next(connection, mailbox.source);
      await connection.close();
      expect(!stale.accept(), 'a stale accept answers false');
      accept(await harness.next(await harness.open(), mailbox.source), 'a');
    },
  },
  {
    says: 'settling a delivery a second time answers false and changes nothing',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a', 'b']);
      const delivery = await harness.next(connection, mailbox.source);
      accept(delivery, 'a');
      expect(!delivery.release() && !delivery.reject() && !delivery.accept(), 'every further settling answers false');
      accept(await harness.next(connection, mailbox.source), 'b');
      expect((await connection.get(mailbox.source)) === undefined, 'nothing came back');
    },
  },
  {
    says: 'a rejected delivery does not come back',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a', 'b']);
      expect((await harness.next(connection, mailbox.source)).reject(), 'it can be rejected');
      accept(await harness.next(connection, mailbox.source), 'b');
      expect((await connection.get(mailbox.source)) === undefined, 'the mailbox is empty');
    },
  },
  {
    says: 'a rejected delivery goes to the dead-letter address with its body, properties and headers',
    needs: ['bounds'],
    holds: async (harness) => {
      const dead = harness.mailbox();
      const { connection, mailbox } = await withLetters(harness, [], { deadLetter: byName(dead) });
      await connection.ensure(dead);
      const sent = message('a', {
        properties: { messageId: 'm1', contentType: 'text/plain' },
        headers: { mine: 'yes' },
      });
      await connection.publish(byName(mailbox), sent);
      (await harness.next(connection, mailbox.source)).reject();
      const buried = await harness.next(connection, dead.source);
      expectEqual(buried.message.properties.messageId, 'm1', 'message id');
      expectEqual(buried.message.properties.contentType, 'text/plain', 'content type');
      expectEqual(buried.message.headers['mine'], 'yes', 'header');
      accept(buried, 'a');
    },
  },
  {
    says: 'an unsettled delivery is shown to nobody else',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      const delivery = await harness.next(connection, mailbox.source);
      const other = await harness.open();
      expect((await other.get(mailbox.source)) === undefined, 'another connection finds nothing');
      accept(delivery, 'a');
    },
  },
  {
    says: 'a delivery outlives its consumer and can be accepted after it stopped',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      accept(await harness.next(connection, mailbox.source), 'a');
      await connection.close();
      expect((await (await harness.open()).get(mailbox.source)) === undefined, 'the accept reached the broker');
    },
  },
  {
    says: 'a delivery that was fetched is settled like one that was delivered',
    needs: ['redelivers'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      const fetched = await connection.get(mailbox.source);
      expect(fetched?.release() === true, 'a fetched delivery can be released');
      const again = await harness.next(connection, mailbox.source);
      expect(again.redelivered, 'it comes back marked');
      accept(again, 'a');
    },
  },
  {
    says: 'the broker counts earlier deliveries',
    needs: ['deliveryCount', 'redelivers'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['a']);
      for (const earlier of [0, 1, 2]) {
        const delivery = await harness.next(connection, mailbox.source);
        expectEqual(delivery.earlierDeliveries, earlier, 'earlier deliveries');
        if (earlier < 2) delivery.release();
        else accept(delivery, 'a');
      }
    },
  },
];

/** Accepts a delivery that has to hold this body. */
export function accept(delivery: Delivery, body: string): void {
  const found = text(delivery.message.body);
  expect(delivery.accept(), 'it can still be accepted');
  expectEqual(found, body, 'the body');
}
