import type { IncomingMessage } from '../../driver.js';
import { Collected, expect, expectCode, expectEqual, text, within } from '../expect.js';
import { byName, message, withLetters, type Sentence } from '../sentence.js';
import { accept } from './settlement.js';

/** Closing, giving up, and answers that outlive a connection. */
export const connection: readonly Sentence[] = [
  {
    says: 'a closed connection ends without a reason, and closing it again is fine',
    holds: async (harness) => {
      const open = await harness.open();
      await open.close();
      await open.close();
      expect((await within(open.closed, 'the end of the connection')) === undefined, 'no reason');
      await expectCode(open.publish({ exchange: '', routingKey: 'x' }, message('x')), 'CLOSED');
    },
  },
  {
    says: 'close waits for the confirms of what was handed over',
    holds: async (harness) => {
      const { connection: open, mailbox } = await withLetters(harness, []);
      const publishing = Promise.all(['a', 'b', 'c'].map((body) => open.publish(byName(mailbox), message(body))));
      await Promise.all([publishing, open.close()]);
      const later = await harness.open();
      for (const body of ['a', 'b', 'c']) accept(await harness.next(later, mailbox.source), body);
    },
  },
  {
    says: 'a publish that was given up beforehand is ABORTED and did not arrive',
    holds: async (harness) => {
      const { connection: open, mailbox } = await withLetters(harness, []);
      const publishing = open.publish(byName(mailbox), message('x'), AbortSignal.abort());
      expectEqual((await expectCode(publishing, 'ABORTED')).details['mayArrive'], false, 'mayArrive');
      await open.publish(byName(mailbox), message('a'));
      accept(await harness.next(open, mailbox.source), 'a');
      expect((await open.get(mailbox.source)) === undefined, 'nothing else arrived');
    },
  },
  {
    says: 'answers arrive at the reply address',
    holds: async (harness) => {
      const open = await harness.open();
      const seen = new Collected<IncomingMessage>();
      const address = await open.openReplies(harness.name('reply'), 60_000, seen.add);
      await (await harness.open()).publish(address, message('answer'));
      const [answer] = await seen.atLeast(1, 'answer');
      expectEqual(answer === undefined ? undefined : text(answer.body), 'answer', 'the answer');
    },
  },
  {
    says: 'a reply address opened again under its name finds the answers that came in between',
    needs: ['keepsReplies'],
    holds: async (harness) => {
      const name = harness.name('reply');
      const first = await harness.open();
      const address = await first.openReplies(name, 60_000, () => undefined);
      await first.close();
      const other = await harness.open();
      await other.publish(address, message('meanwhile'));
      const seen = new Collected<string>();
      const again = await other.openReplies(name, 60_000, ({ body }) => seen.add(text(body)));
      expectEqual(again, address, 'the address');
      expectEqual(await seen.atLeast(1, 'answer'), ['meanwhile'], 'the answer');
    },
  },
  {
    says: 'a connection whose reply address was taken away ends, so that the next one opens it again',
    needs: ['administers'],
    holds: async (harness) => {
      const name = harness.name('reply');
      const open = await harness.open();
      await open.openReplies(name, 60_000, () => undefined);
      await (await harness.open()).delete({ queue: name });
      const reason = await within(open.closed, 'the end of the connection');
      expectEqual(reason?.code, 'CONNECTION_LOST', 'the reason');
    },
  },
];
