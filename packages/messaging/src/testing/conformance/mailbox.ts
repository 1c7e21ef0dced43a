import { mailboxes } from '../../mailbox/mailboxes.js';
import { memoryLedger } from '../../mailbox/ledger-book.js';
import type { Letter } from '../../mailbox/letter.js';
import { SimulatedClock } from '@torcello/platform/testing';
import { isMessagingError } from '../../errors.js';
import { bytes, Collected, expect, expectCode, expectEqual, text, within } from '../expect.js';
import type { Sentence } from '../sentence.js';

/** Letters for recipients who may not exist yet. */
export const mailbox: readonly Sentence[] = [
  {
    says: 'a mailbox keeps its letters for the owner who comes later, in order and complete',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const name = harness.name('box');
      const sender = mailboxes(await harness.connect());
      await sender.open(name);
      for (const id of ['1', '2', '3']) {
        const receipt = await sender.put(name, {
          id,
          body: bytes(`letter ${id}`),
          contentType: 'text/plain',
          headers: { id },
        });
        expectEqual(receipt.id, id, 'the receipt');
      }
      const seen: Letter[] = [];
      for await (const letter of mailboxes(await harness.connect()).read(name)) {
        seen.push(letter);
        expect(letter.accept(), 'it can be accepted');
        if (seen.length === 3) break;
      }
      const facts = seen.map(({ id, body, contentType, headers }) => [id, text(body), contentType, headers['id']]);
      expectEqual(
        facts,
        ['1', '2', '3'].map((id) => [id, `letter ${id}`, 'text/plain', id]),
        'the letters',
      );
      expect((await sender.take(name)) === undefined, 'no letter is left');
    },
  },
  {
    says: 'a letter to a mailbox that nobody opened is UNROUTABLE',
    needs: ['mailboxes', 'returns'],
    holds: async (harness) => {
      const sender = mailboxes(await harness.connect());
      await expectCode(sender.put(harness.name('nowhere'), { id: '1', body: bytes('') }), 'UNROUTABLE');
    },
  },
  {
    says: 'a full mailbox is QUOTA_EXCEEDED, and has room again when a letter was read',
    needs: ['mailboxes', 'bounds'],
    holds: async (harness) => {
      const name = harness.name('box');
      const boxes = mailboxes(await harness.connect());
      await boxes.open(name, { lengthMax: 2 });
      const put = (id: number): Promise<unknown> => boxes.put(name, { id: String(id), body: bytes('') });
      const fill = async (): Promise<void> => {
        for (let id = 0; id < 50; id += 1) await put(id);
      };
      await expectCode(fill(), 'QUOTA_EXCEEDED');
      for (let letter = await boxes.take(name); letter !== undefined; letter = await boxes.take(name)) letter.accept();
      // A broker of several copies needs a moment to hear of it.
      await within(
        untilTaken(() => put(99)),
        'room for another letter',
      );
    },
  },
  {
    says: 'a reader waits for a mailbox that is opened after it',
    needs: ['mailboxes', 'refusesMissing'],
    holds: async (harness) => {
      const name = harness.name('box');
      const stop = new AbortController();
      const seen = new Collected<Letter>();
      const reader = mailboxes(await harness.connect());
      const reading = (async () => {
        for await (const letter of reader.read(name, { signal: stop.signal })) {
          letter.accept();
          seen.add(letter);
        }
      })();
      const owner = mailboxes(await harness.connect());
      await owner.open(name);
      await owner.put(name, { id: '1', body: bytes('') });
      await seen.atLeast(1, 'letter');
      stop.abort();
      await reading;
    },
  },
  {
    says: 'leaving the loop gives back what was not handed out, unmarked by any reader',
    needs: ['mailboxes', 'redelivers', 'inspects'],
    holds: async (harness) => {
      const name = harness.name('box');
      const boxes = mailboxes(await harness.connect());
      await boxes.open(name);
      for (const id of ['1', '2', '3']) await boxes.put(name, { id, body: bytes('') });
      for await (const letter of boxes.read(name, { credit: 3 })) {
        letter.accept();
        break;
      }
      await harness.untilWaiting(await harness.open(), { queue: name }, 2);
      for (const id of ['2', '3']) {
        const letter = await boxes.take(name);
        expectEqual(letter?.id, id, 'the next letter');
        letter?.accept();
      }
      expect((await boxes.take(name)) === undefined, 'nothing else is there');
    },
  },
  {
    says: 'a mailbox reached through an exchange gets what is put there',
    needs: ['mailboxes', 'routes'],
    holds: async (harness) => {
      const name = harness.name('box');
      const exchange = harness.name('exchange');
      const boxes = mailboxes(await harness.connect());
      await boxes.open(name, { reachedBy: [{ exchange, routingKey: '#' }] });
      await boxes.put({ exchange, routingKey: 'machine.result' }, { id: '1', body: bytes('') });
      const letter = await boxes.take(name);
      expectEqual(letter?.destination, { exchange, routingKey: 'machine.result' }, 'the destination');
      letter?.accept();
    },
  },
  {
    says: 'the end of a mailbox tells what was in it, and refuses what comes later',
    needs: ['mailboxes', 'administers', 'returns'],
    holds: async (harness) => {
      const name = harness.name('box');
      const clock = new SimulatedClock();
      const boxes = mailboxes(await harness.connect(), { ledger: memoryLedger(), clock });
      await boxes.open(name, { lifetimeMs: 60_000 });
      for (const id of ['1', '2']) await boxes.put(name, { id, body: bytes(id) });
      await clock.advance(60_000);
      const sweeping = boxes.sweep();
      await clock.advance(0);
      await expectCode(boxes.put(name, { id: '3', body: bytes('') }), 'EXPIRED');
      await clock.advance(60_000);
      const [end] = await sweeping;
      const inventory = end?.inventory.map(({ id, body }) => [id, body === undefined ? undefined : text(body)]);
      expectEqual(
        inventory,
        [
          ['1', '1'],
          ['2', '2'],
        ],
        'the inventory',
      );
      await expectCode(boxes.put(name, { id: '4', body: bytes('') }), 'UNROUTABLE');
    },
  },
  {
    says: 'a reader goes on after a cut, and settles the copy that came again',
    needs: ['mailboxes', 'cut'],
    holds: async (harness) => {
      const name = harness.name('box');
      const sender = mailboxes(await harness.connect());
      await sender.open(name);
      await sender.put(name, { id: '1', body: bytes('') });
      const seen: boolean[] = [];
      for await (const letter of mailboxes(await harness.connect()).read(name)) {
        if (seen.length === 0) await harness.cut();
        seen.push(letter.redelivered);
        if (letter.accept()) break;
      }
      expectEqual(seen, [false, true], 'redelivered');
      expect((await sender.take(name)) === undefined, 'nothing is left');
    },
  },
];

async function untilTaken(put: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      return void (await put());
    } catch (error) {
      if (!isMessagingError(error, 'QUOTA_EXCEEDED')) throw error;
    }
  }
}
