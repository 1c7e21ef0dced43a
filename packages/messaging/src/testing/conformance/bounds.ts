import type { DriverConnection, Topology } from '../../driver.js';
import { isMessagingError } from '../../errors.js';
import { expect, expectCode, expectEqual } from '../expect.js';
import { byName, message, withLetters, type Sentence } from '../sentence.js';
import { accept } from './settlement.js';

/** Time, length, priority and size of what waits. */
export const bounds: readonly Sentence[] = [
  {
    says: 'a message that waited too long is dead-lettered and never delivered',
    needs: ['bounds'],
    holds: async (harness) => {
      const dead = harness.mailbox();
      const { connection, mailbox } = await withLetters(harness, [], { deadLetter: byName(dead) });
      await connection.ensure(dead);
      await connection.publish(byName(mailbox), message('late', { expiresMs: 50 }));
      await connection.publish(byName(mailbox), message('fresh'));
      accept(await harness.next(connection, dead.source), 'late');
      accept(await harness.next(connection, mailbox.source), 'fresh');
    },
  },
  {
    says: 'a queue bounds the time that any message waits in it',
    needs: ['bounds'],
    holds: async (harness) => {
      const dead = harness.mailbox();
      const { connection, mailbox } = await withLetters(harness, [], { deadLetter: byName(dead), messageTtlMs: 50 });
      await connection.ensure(dead);
      await connection.publish(byName(mailbox), message('late', { expiresMs: 600_000 }));
      accept(await harness.next(connection, dead.source), 'late');
      expect((await connection.get(mailbox.source)) === undefined, 'it is gone from the queue');
    },
  },
  {
    says: 'a full queue that refuses tells the sender NOT_CONFIRMED and keeps what it has',
    needs: ['bounds'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, ['1'], { lengthMax: 2, whenFull: 'refuse' });
      const stored = 1 + (await publishUntilRefused(connection, mailbox));
      for (let at = 0; at < stored; at += 1) (await harness.next(connection, mailbox.source)).accept();
      expect((await connection.get(mailbox.source)) === undefined, 'a refused message is not in the queue');
    },
  },
  {
    says: 'a full queue that drops the oldest keeps the youngest',
    needs: ['bounds'],
    holds: async (harness) => {
      const options = { lengthMax: 2, whenFull: 'drop-oldest' } as const;
      const { connection, mailbox } = await withLetters(harness, ['1', '2', '3', '4'], options);
      accept(await harness.next(connection, mailbox.source), '3');
      accept(await harness.next(connection, mailbox.source), '4');
    },
  },
  {
    says: 'a message of higher priority comes first, equal ones in their order',
    needs: ['priorityMax'],
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, [], { priorityMax: 5 });
      for (const [body, priority] of [
        ['low 1', 0],
        ['high 1', 5],
        ['low 2', 0],
        ['high 2', 5],
      ] as const) {
        await connection.publish(byName(mailbox), message(body, { properties: { priority } }));
      }
      for (const body of ['high 1', 'high 2', 'low 1', 'low 2']) {
        accept(await harness.next(connection, mailbox.source), body);
      }
    },
  },
  {
    says: 'a message above the size limit is TOO_LARGE, and the connection goes on',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      const { messageSizeBytesMax } = connection.capabilities;
      const body = new Uint8Array(Math.min(messageSizeBytesMax + 1, 256 * 1024 * 1024));
      if (body.length > messageSizeBytesMax) {
        await expectCode(connection.publish(byName(mailbox), message(body)), 'TOO_LARGE');
      }
      await connection.publish(byName(mailbox), message('a'));
      accept(await harness.next(connection, mailbox.source), 'a');
    },
  },
  {
    says: 'bodies arrive byte for byte, the empty one and one of many frames too',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      for (const length of [0, 1, 4_096, 131_072, 700_001]) {
        const body = Uint8Array.from({ length }, (_, at) => (at * 31 + length) % 256);
        await connection.publish(byName(mailbox), message(body));
        const delivery = await harness.next(connection, mailbox.source);
        delivery.accept();
        expect(Buffer.compare(delivery.message.body, body) === 0, `a body of ${length} bytes is the same`);
      }
    },
  },
  {
    says: 'properties and headers arrive as they were sent',
    holds: async (harness) => {
      const { connection, mailbox } = await withLetters(harness, []);
      const properties = {
        messageId: 'm-1',
        correlationId: 'c-1',
        replyTo: 'r-1',
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        type: 'kind',
        appId: 'app',
        timestampMs: 1_700_000_000_000,
      };
      const headers = {
        text: 'ž☃',
        number: 42,
        negative: -1,
        big: 2 ** 40,
        fraction: 1.5,
        yes: true,
        nested: { a: [1, 'b'] },
      };
      await connection.publish(byName(mailbox), message('x', { properties, headers }));
      const delivery = await harness.next(connection, mailbox.source);
      accept(delivery, 'x');
      for (const [name, value] of Object.entries(properties)) {
        expectEqual(Object.entries(delivery.message.properties).find(([known]) => known === name)?.[1], value, name);
      }
      for (const [name, value] of Object.entries(headers)) expectEqual(delivery.message.headers[name], value, name);
    },
  },
];

/** How many were taken before the first refusal; queues that keep several copies may take a few more than they should. */
async function publishUntilRefused(connection: DriverConnection, mailbox: Topology): Promise<number> {
  for (let stored = 0; stored < 50; stored += 1) {
    try {
      await connection.publish(byName(mailbox), message('more'));
    } catch (error) {
      if (!isMessagingError(error, 'NOT_CONFIRMED')) throw error;
      expect(stored > 0, 'there was room for a second message');
      return stored;
    }
  }
  throw new Error('expected: the full queue refuses');
}
