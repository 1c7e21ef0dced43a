import { SimulatedClock } from '@torcello/platform/testing';
import { memoryLedger } from '../../mailbox/ledger-book.js';
import type { LetterRecord } from '../../mailbox/ledger.js';
import type { Letter } from '../../mailbox/letter.js';
import { mailboxes, type Mailboxes, type MailboxesOptions } from '../../mailbox/mailboxes.js';
import type { LetterNotice } from '../../mailbox/receipt-wire.js';
import { bytes, Collected, expect, expectCode, expectEqual, text } from '../expect.js';
import type { Harness } from '../harness.js';
import type { Sentence } from '../sentence.js';

/** What became of letters: receipts, superseding, claims, ends that senders are told of. They need a ledger and no more. */
export const letters: readonly Sentence[] = [
  {
    says: 'a receipt goes through all its stages, said by a reader elsewhere, and is readable by its id later',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const { name, boxes, seen } = await controlPlane(harness);
      await boxes.open(name);
      const collector = boxes.collector();
      await collector.start();
      harness.atEnd(() => collector.stop());
      await boxes.put(name, { id: `${name}.1`, body: bytes('do it') });
      const reader = mailboxes(await harness.connect());
      for await (const letter of reader.read(name, { acceptMeans: 'nothing' })) {
        await letter.report('started');
        letter.accept();
        await letter.report('finished', { outcome: 'ok', result: bytes('42') });
        break;
      }
      await reader.flush();
      await until(seen, ({ reached }) => reached.finished !== undefined && reached.delivered !== undefined);
      await boxes.resultRead(`${name}.1`);
      const receipt = await boxes.receipt(`${name}.1`);
      const stages = ['accepted', 'stored', 'delivered', 'started', 'finished', 'resultRead'];
      expectEqual(Object.keys(receipt?.reached ?? {}).toSorted(), stages.toSorted(), 'the stages');
      expectEqual([receipt?.end?.how, receipt?.outcome?.outcome], ['finished', 'ok'], 'the end');
      expectEqual(text(receipt?.outcome?.result ?? bytes('')), '42', 'the result');
    },
  },
  {
    says: 'accepting a letter finishes it, rejecting it says so, and both are told to its sender',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const { name, boxes } = await controlPlane(harness);
      const told = harness.name('told');
      await boxes.open(name);
      await boxes.open(told);
      for (const id of ['good', 'bad']) await boxes.put(name, { id: `${name}.${id}`, body: bytes(id), tell: told });
      let at = 0;
      for await (const letter of boxes.read(name)) {
        expect(text(letter.body) === 'good' ? letter.accept() : letter.reject(), 'it is settled');
        at += 1;
        if (at === 2) break;
      }
      await boxes.flush();
      const notices = await take(boxes, told, 2);
      const facts = notices.map(({ letter, how, mailbox }) => `${letter} ${how} in ${mailbox}`);
      const wanted = [`${name}.bad rejected in ${name}`, `${name}.good finished in ${name}`];
      expectEqual(facts.toSorted(), wanted, 'the notices');
    },
  },
  {
    says: 'a letter that stands for another keeps it from being read, and is told honestly when that is too late',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const { name, boxes } = await controlPlane(harness);
      await boxes.open(name);
      const id = (word: string): string => `${name}.${word}`;
      await boxes.put(name, { id: id('1'), body: bytes('') });
      const second = await boxes.put(name, { id: id('2'), body: bytes(''), supersedes: [id('1'), id('0')] });
      expectEqual(
        second.superseded?.map(({ verdict }) => verdict),
        ['superseded', 'unknown'],
        'the verdicts',
      );
      for await (const letter of boxes.read(name)) {
        expectEqual(letter.id, id('2'), 'the first letter that is read');
        await letter.report('started');
        const third = await boxes.put(name, { id: id('3'), body: bytes(''), supersedes: [id('2')] });
        expectEqual(third.superseded?.[0]?.verdict, 'tooLate', 'the verdict');
        letter.accept();
        break;
      }
      await boxes.flush();
      expectEqual((await boxes.receipt(id('1')))?.end?.how, 'superseded', 'the end of the first');
      expectEqual((await boxes.receipt(id('2')))?.end?.how, 'finished', 'the end of the second');
      (await boxes.take(name))?.accept();
      await boxes.flush();
    },
  },
  {
    says: 'a letter that was taken back is not read; one that was begun cannot be taken back',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const { name, boxes } = await controlPlane(harness);
      await boxes.open(name);
      for (const word of ['a', 'b']) await boxes.put(name, { id: `${name}.${word}`, body: bytes(word) });
      expectEqual((await boxes.withdraw(`${name}.a`)).end?.how, 'withdrawn', 'the end');
      const letter = await boxes.take(name);
      expectEqual(letter?.id, `${name}.b`, 'the letter that is left');
      await letter?.report('started');
      expect((await boxes.withdraw(`${name}.b`)).end === undefined, 'it goes on');
      letter?.accept();
      await boxes.flush();
    },
  },
  {
    says: 'a letter put again with its id is stored once; another body under it is PRECONDITION_FAILED',
    needs: ['mailboxes', 'inspects'],
    holds: async (harness) => {
      const { name, boxes } = await controlPlane(harness);
      await boxes.open(name);
      const letter = { id: `${name}.1`, body: bytes('once') };
      const [first, second] = [await boxes.put(name, letter), await boxes.put(name, letter)];
      expectEqual(second, first, 'the receipt');
      await expectCode(boxes.put(name, { ...letter, body: bytes('other') }), 'PRECONDITION_FAILED');
      const open = await harness.open();
      await harness.untilWaiting(open, { queue: name }, 1);
      await boxes.redeliver(letter.id);
      await harness.untilWaiting(open, { queue: name }, 2);
      for (const _ of [1, 2]) {
        const copy = await boxes.take(name);
        expectEqual([copy?.id, text(copy?.body ?? bytes(''))], [letter.id, 'once'], 'the copy');
        copy?.accept();
      }
      await boxes.flush();
      await expectCode(boxes.redeliver(letter.id), 'EXPIRED');
    },
  },
  {
    says: 'a quota of bytes is QUOTA_EXCEEDED, and the refused letter may be put again later',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const { name, boxes } = await controlPlane(harness);
      await boxes.open(name, { bytesMax: 10 });
      await boxes.put(name, { id: `${name}.1`, body: bytes('12345678') });
      const second = { id: `${name}.2`, body: bytes('123') };
      const { details } = await expectCode(boxes.put(name, second), 'QUOTA_EXCEEDED');
      expectEqual([details['bytesMax'], details['bytes'], details['letterBytes']], [10, 8, 3], 'the details');
      (await boxes.take(name))?.accept();
      await boxes.flush();
      await boxes.put(name, second);
      (await boxes.take(name))?.accept();
      await boxes.flush();
    },
  },
  {
    says: 'a token binds a mailbox to one owner, once; the next token replaces that owner',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const clock = new SimulatedClock();
      const { name, boxes } = await controlPlane(harness, { clock });
      await boxes.open(name);
      const token = await boxes.issueToken(name);
      await expectCode(boxes.claim(name, { token: 'guessed', owner: 'a' }), 'ACCESS_REFUSED');
      const claim = await boxes.claim(name, { token, owner: 'a' });
      expectEqual(await boxes.claim(name, { token, owner: 'a' }), claim, 'the same answer again');
      await expectCode(boxes.claim(name, { token, owner: 'b' }), 'ACCESS_REFUSED');
      const late = await boxes.issueToken(name, { expiresMs: 1_000 });
      await clock.advance(1_000);
      await expectCode(boxes.claim(name, { token: late, owner: 'b' }), 'EXPIRED');
      const next = await boxes.claim(name, { token: await boxes.issueToken(name), owner: 'b' });
      expectEqual(next.epoch, claim.epoch + 1, 'the epoch');
      await expectCode(boxes.touch(name, 'a'), 'ACCESS_REFUSED');
      await boxes.touch(name, 'b');
    },
  },
  {
    says: 'a lifetime that nothing renews ends although its reader was there, and its letters go where its terms say',
    needs: ['mailboxes', 'administers'],
    holds: async (harness) => {
      const clock = new SimulatedClock();
      const ends = new Collected<string>();
      const { name, boxes } = await controlPlane(harness, { clock, onEnd: (end) => ends.add(end.name) });
      const [dead, told] = [harness.name('dead'), harness.name('told')];
      for (const box of [dead, told]) await boxes.open(box);
      await boxes.open(name, { lifetimeMs: 60_000, renewedBy: 'nothing', deadLetter: dead });
      await boxes.put(name, { id: `${name}.1`, body: bytes('left'), contentType: 'text/plain', tell: told });
      await clock.advance(59_999);
      await boxes.touch(name);
      expectEqual(await boxes.sweep(), [], 'it is not due yet');
      await clock.advance(1);
      const [end] = await swept(boxes, clock);
      expectEqual(
        end?.inventory.map(({ id, stage }) => [id, stage]),
        [[`${name}.1`, 'stored']],
        'the inventory',
      );
      expectEqual(ends.items, [name], 'the event');
      const letter = await boxes.take(dead);
      const facts = [
        letter?.id,
        letter?.contentType,
        letter?.headers['torcello-mailbox'],
        text(letter?.body ?? bytes('')),
      ];
      expectEqual(facts, [`${name}.1`, 'text/plain', name, 'left'], 'the dead letter');
      letter?.accept();
      await boxes.flush();
      const [notice] = await take(boxes, told, 1);
      expectEqual(
        [notice?.letter, notice?.how, notice?.stage],
        [`${name}.1`, 'unread', 'stored'],
        'what its sender is told',
      );
      expectEqual((await boxes.receipt(`${name}.1`))?.end?.how, 'unread', 'the receipt');
    },
  },
  {
    says: 'a lifetime that the reader renews ends when the reader stays away, with what it had in hand',
    needs: ['mailboxes', 'administers'],
    holds: async (harness) => {
      const clock = new SimulatedClock();
      const { name, boxes } = await controlPlane(harness, { clock });
      await boxes.open(name, { lifetimeMs: 60_000 });
      await boxes.put(name, { id: `${name}.1`, body: bytes('') });
      await boxes.put(name, { id: `${name}.2`, body: bytes('') });
      await clock.advance(50_000);
      const inHand = await boxes.take(name);
      await boxes.flush();
      await clock.advance(50_000);
      expectEqual(await boxes.sweep(), [], 'being read renewed it');
      await clock.advance(10_000);
      const [end] = await swept(boxes, clock);
      const facts = end?.inventory.map(({ id, stage, body }) => [id, stage, body !== undefined]);
      const wanted = [
        [`${name}.1`, 'delivered', false],
        [`${name}.2`, 'stored', true],
      ];
      expectEqual(facts, wanted, 'the inventory');
      expectEqual((await boxes.receipt(`${name}.1`))?.end?.how, 'inHand', 'what was in hand');
      // Its queue is gone: nobody can settle it any more, and nobody has to.
      inHand?.accept();
      await boxes.flush();
    },
  },
  {
    says: 'the end of a mailbox tells of every letter, however many there are',
    needs: ['mailboxes', 'administers'],
    holds: async (harness) => {
      const clock = new SimulatedClock();
      const { name, boxes } = await controlPlane(harness, { clock });
      await boxes.open(name);
      const ids = Array.from({ length: 150 }, (_, at) => `${name}.${at}`);
      await Promise.all(ids.map((id) => boxes.put(name, { id, body: bytes(id) })));
      const closing = boxes.close(name, 'enough');
      await clock.advance(60_000);
      const { inventory } = await closing;
      expectEqual(inventory.map(({ id }) => id).toSorted(), ids.toSorted(), 'the inventory');
      expect(
        inventory.every(({ id, body }) => body !== undefined && text(body) === id),
        'every body is there',
      );
    },
  },
  {
    says: 'a letter past its time is told to its sender as expired',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const clock = new SimulatedClock();
      const { name, boxes } = await controlPlane(harness, { clock });
      const told = harness.name('told');
      for (const box of [name, told]) await boxes.open(box);
      await boxes.put(name, { id: `${name}.1`, body: bytes(''), expiresMs: 3_600_000, tell: told });
      await boxes.sweep();
      await clock.advance(3_600_000);
      await boxes.sweep();
      const [notice] = await take(boxes, told, 1);
      expectEqual([notice?.letter, notice?.how], [`${name}.1`, 'expired'], 'the notice');
      expectEqual(await boxes.forget(0), 0, 'an end of this instant is not older');
      await clock.advance(1);
      expectEqual(await boxes.forget(0), 1, 'what was forgotten');
      expectEqual((await boxes.explain(`${name}.1`)).state, 'unknown', 'what is left to say');
      (await boxes.take(name))?.accept();
      await boxes.flush();
    },
  },
  {
    says: 'why a letter waits is explained at every step of its way',
    needs: ['mailboxes', 'inspects'],
    holds: async (harness) => {
      const { name, boxes } = await controlPlane(harness);
      await boxes.open(name);
      await boxes.put(name, { id: `${name}.1`, body: bytes('') });
      await boxes.put(name, { id: `${name}.2`, body: bytes('') });
      const states: unknown[] = [];
      const look = async (word: string): Promise<void> => {
        const { state, inFront } = await boxes.explain(`${name}.${word}`);
        states.push(inFront === undefined ? state : [state, inFront]);
      };
      await look('2');
      for await (const letter of boxes.read(name)) {
        await boxes.flush();
        await look('1');
        await look('2');
        await letter.report('started');
        await look('1');
        letter.accept();
        break;
      }
      await boxes.flush();
      await look('1');
      await look('absent');
      const wanted = [['waitsForReader', 1], 'inHand', ['waitsInLine', 0], 'running', 'ended', 'unknown'];
      expectEqual(states, wanted, 'the states');
      (await boxes.take(name))?.accept();
      await boxes.flush();
    },
  },
  {
    says: 'a letter that was given back waits again, until the next reader has it',
    needs: ['mailboxes', 'inspects'],
    holds: async (harness) => {
      const { name, boxes, seen } = await controlPlane(harness);
      await boxes.open(name);
      const collector = boxes.collector();
      await collector.start();
      harness.atEnd(() => collector.stop());
      await boxes.put(name, { id: `${name}.1`, body: bytes('') });
      const said: unknown[] = [];
      const look = async (): Promise<void> => {
        const { state, stage, text: words } = await boxes.explain(`${name}.1`);
        // Whether anybody reads meanwhile, a broker may tell late.
        said.push([state.startsWith('waits') ? 'waits' : state, stage, words.includes('gave it back')]);
      };
      const hold = async (reader: Mailboxes, use: (letter: Letter) => Promise<unknown>): Promise<void> => {
        for await (const letter of reader.read(name)) {
          await use(letter);
          break;
        }
        await reader.flush();
      };
      const far = mailboxes(await harness.connect());
      await hold(far, async (letter) => {
        await until(seen, ({ reached }) => reached.delivered !== undefined);
        await look();
        letter.release();
      });
      await until(seen, ({ releasedAtMs }) => releasedAtMs !== undefined);
      await look();
      await hold(boxes, async (letter) => {
        await boxes.flush();
        await look();
        await letter.report('started');
        letter.release();
      });
      await look();
      await hold(boxes, async (letter) => {
        await boxes.flush();
        await look();
        letter.accept();
      });
      await look();
      const wanted = [
        ['inHand', 'delivered', false],
        ['waits', 'stored', true],
        ['inHand', 'delivered', false],
        ['waits', 'started', true],
        ['running', 'started', false],
        ['ended', 'finished', false],
      ];
      expectEqual(said, wanted, 'what is said of it');
    },
  },
  {
    says: 'letters of higher priority are read first',
    needs: ['mailboxes', 'priorityMax'],
    holds: async (harness) => {
      const name = harness.name('box');
      const boxes = mailboxes(await harness.connect(), { needs: ['priority'] });
      await boxes.open(name, { priorityMax: 5 });
      for (const [id, priority] of [
        ['low', 0],
        ['high', 5],
      ] as const) {
        await boxes.put(name, { id, body: bytes(''), priority });
      }
      const seen: string[] = [];
      for await (const letter of boxes.read(name)) {
        seen.push(letter.id);
        letter.accept();
        if (seen.length === 2) break;
      }
      expectEqual(seen, ['high', 'low'], 'the order');
    },
  },
  {
    says: 'what mailboxes cannot do is refused at the start and named',
    needs: ['mailboxes'],
    holds: async (harness) => {
      const transport = await harness.connect();
      const { features } = mailboxes(transport, { ledger: memoryLedger() });
      const missing = (Object.keys(features) as (keyof typeof features)[]).filter((feature) => !features[feature]);
      const starting = async (): Promise<Mailboxes> =>
        mailboxes(transport, { ledger: memoryLedger(), needs: ['receipts', ...missing] });
      if (missing.length === 0) await starting();
      else {
        const { details } = await expectCode(starting(), 'CAPABILITY_MISSING');
        expectEqual(
          details['missing'],
          missing.map((feature) => `mailbox.${feature}`),
          'what is missing',
        );
      }
      const without = async (): Promise<Mailboxes> => mailboxes(transport, { needs: ['lifetime'] });
      await expectCode(without(), 'CAPABILITY_MISSING');
    },
  },
];

interface ControlPlane {
  readonly name: string;
  readonly boxes: Mailboxes;
  /** Every change of a letter that it made or heard of. */
  readonly seen: Collected<LetterRecord>;
}

/** Mailboxes with a ledger and a place for receipts, and the name of a mailbox that is not open yet. */
async function controlPlane(harness: Harness, options: MailboxesOptions = {}): Promise<ControlPlane> {
  const seen = new Collected<LetterRecord>();
  const boxes = mailboxes(await harness.connect(), {
    ledger: memoryLedger(),
    receipts: harness.name('receipts'),
    onLetter: seen.add,
    ...options,
  });
  return { name: harness.name('box'), boxes, seen };
}

async function until(seen: Collected<LetterRecord>, isIt: (record: LetterRecord) => boolean): Promise<void> {
  for (let count = 1; !seen.items.some(isIt); count += 1) await seen.atLeast(count, 'changes of a letter');
}

/** Ends what is due, on a clock that has to be moved for it. */
async function swept(boxes: Mailboxes, clock: SimulatedClock): ReturnType<Mailboxes['sweep']> {
  const sweeping = boxes.sweep();
  await clock.advance(60_000);
  return sweeping;
}

async function take(boxes: Mailboxes, name: string, count: number): Promise<readonly LetterNotice[]> {
  const notices: LetterNotice[] = [];
  for await (const notice of boxes.notices(name)) {
    notices.push(notice);
    if (notices.length === count) break;
  }
  return notices;
}
