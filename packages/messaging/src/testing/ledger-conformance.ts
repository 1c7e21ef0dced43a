import type { LetterRecord, MailboxLedger, MailboxRecord } from '../mailbox/ledger.js';
import { bytes, expect, expectEqual, text } from './expect.js';
import type { TestFunction } from './run.js';

/** What the test file of a ledger hands in. */
export interface LedgerSubject {
  readonly name: string;
  /** A ledger with nothing in it. */
  open(): Promise<MailboxLedger>;
  /** The same ledger as a program finds it that starts again; without it the sentence about that is skipped. */
  reopen?(ledger: MailboxLedger): Promise<MailboxLedger>;
}

/** One sentence that must be true of every ledger. */
export interface LedgerSentence {
  readonly says: string;
  readonly holds: (ledger: MailboxLedger, subject: LedgerSubject) => Promise<void>;
  readonly needsReopen?: boolean;
}

/** Registers every sentence as a test of its own. */
export function runLedgerConformance(subject: LedgerSubject, test: TestFunction): void {
  for (const { says, holds, needsReopen } of ledgerConformance) {
    void test(`${subject.name}: ${says}`, async (context) => {
      if (needsReopen === true && subject.reopen === undefined) return context.skip('needs reopen');
      await holds(await subject.open(), subject);
    });
  }
}

/** What a `MailboxLedger` has to do. */
export const ledgerConformance: readonly LedgerSentence[] = [
  {
    says: 'a record is written over the revision before it, and over no other',
    holds: async (ledger) => {
      expect(await ledger.save(mailbox({ revision: 1 })), 'the first revision is new');
      expect(!(await ledger.save(mailbox({ revision: 1, lengthMax: 5 }))), 'it is not new twice');
      expect(!(await ledger.save(mailbox({ revision: 3, lengthMax: 5 }))), 'none is left out');
      expect(await ledger.save(mailbox({ revision: 2, lengthMax: 5 })), 'the next follows');
      expectEqual((await ledger.find('m'))?.lengthMax, 5, 'what is there');
      expect(!(await ledger.saveLetter(letter({ revision: 2 }))), 'the same for letters');
    },
  },
  {
    says: 'of two that change a record at the same time one is told that it came too late',
    holds: async (ledger) => {
      await ledger.saveLetter(letter({}));
      const answers = await Promise.all([
        ledger.saveLetter(letter({ revision: 2, puts: 1 })),
        ledger.saveLetter(letter({ revision: 2, puts: 2 })),
      ]);
      expectEqual(answers.map(String).toSorted(), ['false', 'true'], 'the answers');
    },
  },
  {
    says: 'a record comes back as it was written, bytes and big integers too',
    holds: async (ledger) => {
      const wanted = mailbox({
        lifetimeMs: 1_000,
        deadLetter: { exchange: 'e', routingKey: 'k' },
        token: { hash: 'h', expiresAtMs: 7 },
        claim: { mailbox: 'm', owner: 'o', epoch: 2, claimedAtMs: 3, tokenHash: 't' },
      });
      await ledger.save(wanted);
      await ledger.saveLetter(letter({ outcome: { outcome: 'ok', result: bytes('r') } }));
      expectEqual(await ledger.find('m'), wanted, 'the mailbox');
      await expectWhole(ledger);
    },
  },
  {
    says: 'a program that starts again finds what was written',
    needsReopen: true,
    holds: async (ledger, subject) => {
      await ledger.save(mailbox({}));
      await ledger.save(mailbox({ name: 'gone' }));
      await ledger.remove('gone');
      await ledger.saveLetter(letter({ outcome: { outcome: 'ok', result: bytes('r') } }));
      const again = (await subject.reopen?.(ledger)) ?? ledger;
      expectEqual((await again.find('m'))?.name, 'm', 'the mailbox');
      expect((await again.find('gone')) === undefined, 'the other is gone');
      await expectWhole(again);
      expect(await again.saveLetter(letter({ revision: 2 })), 'its revisions go on');
    },
  },
  {
    says: 'the letters of a mailbox are those without an end, oldest first; those that wait are counted',
    holds: async (ledger) => {
      for (const id of ['1', '2', '3', '4']) await ledger.saveLetter(letter({ id }));
      await ledger.saveLetter(letter({ id: 'x', mailbox: 'other' }));
      await ledger.saveLetter(letter({ id: '2', revision: 2, end: { how: 'finished', atMs: 1, reason: '' } }));
      await ledger.saveLetter(letter({ id: '3', revision: 2, reached: { accepted: 0, delivered: 1 } }));
      const ids = (await ledger.letters('m')).map(({ id }) => id);
      expectEqual(ids, ['1', '3', '4'], 'the letters');
      expectEqual(await ledger.usage('m'), { letters: 2, bytes: 10 }, 'the usage');
      expectEqual(await ledger.usage('none'), { letters: 0, bytes: 0 }, 'the usage of an unknown one');
    },
  },
  {
    says: 'removing a mailbox keeps its letters, and what ended long ago is forgotten when its sender was told',
    holds: async (ledger) => {
      await ledger.save(mailbox({}));
      const end = { how: 'unread', atMs: 100, reason: '' } as const;
      const tell = { exchange: '', routingKey: 't' };
      await ledger.saveLetter(letter({ id: 'told', end, tell, isTold: true }));
      await ledger.saveLetter(letter({ id: 'untold', end, tell }));
      await ledger.saveLetter(letter({ id: 'nobody', end }));
      await ledger.saveLetter(letter({ id: 'later', end: { ...end, atMs: 200 } }));
      await ledger.remove('m');
      expect((await ledger.find('m')) === undefined, 'the mailbox is gone');
      expectEqual(await ledger.forget(200), 2, 'forgotten');
      const kept = await Promise.all(['told', 'untold', 'nobody', 'later'].map((id) => ledger.findLetter(id)));
      expectEqual(
        kept.map((record) => record?.id),
        [undefined, 'untold', undefined, 'later'],
        'what is left',
      );
    },
  },
  {
    says: 'what is due is what its lifetime ended, what has begun to end, what expired unread, and who was not told',
    holds: async (ledger) => {
      const opened = { openedAtMs: 0, lifetimeMs: 100 };
      await ledger.save(mailbox({ name: 'over', ...opened }));
      await ledger.save(mailbox({ name: 'renewed', ...opened, contactAtMs: 50 }));
      await ledger.save(mailbox({ name: 'not renewed', ...opened, contactAtMs: 50, renewedBy: 'nothing' }));
      await ledger.save(mailbox({ name: 'closing', closingReason: 'so' }));
      await ledger.save(mailbox({ name: 'for ever' }));
      const tell = { exchange: '', routingKey: 't' };
      await ledger.saveLetter(letter({ id: 'expired', expiresAtMs: 100 }));
      await ledger.saveLetter(letter({ id: 'read', expiresAtMs: 100, reached: { accepted: 0, delivered: 1 } }));
      await ledger.saveLetter(letter({ id: 'in time', expiresAtMs: 101 }));
      await ledger.saveLetter(letter({ id: 'untold', tell, end: { how: 'unread', atMs: 1, reason: '' } }));
      await ledger.saveLetter(letter({ id: 'told', tell, isTold: true, end: { how: 'unread', atMs: 1, reason: '' } }));
      const due = await ledger.due(100);
      expectEqual(due.mailboxes.toSorted(), ['closing', 'not renewed', 'over'], 'the mailboxes');
      expectEqual(due.letters.toSorted(), ['expired', 'untold'], 'the letters');
    },
  },
];

async function expectWhole(ledger: MailboxLedger): Promise<void> {
  const found = await ledger.findLetter('1');
  expectEqual(found?.reached, { accepted: 0 }, 'the stages');
  expectEqual(text(found?.copy?.body ?? bytes('')), 'hello', 'the body');
  expectEqual(text(found?.outcome?.result ?? bytes('')), 'r', 'the result');
  expect(found?.copy?.headers['big'] === 2n ** 60n, 'a big integer');
}

function mailbox(changes: Partial<MailboxRecord>): MailboxRecord {
  return {
    name: 'm',
    revision: 1,
    openedAtMs: 0,
    lifetimeMs: undefined,
    renewedBy: 'reader',
    lengthMax: undefined,
    bytesMax: undefined,
    deadLetter: undefined,
    contactAtMs: undefined,
    closingReason: undefined,
    token: undefined,
    claim: undefined,
    ...changes,
  };
}

function letter(changes: Partial<LetterRecord>): LetterRecord {
  return {
    id: '1',
    mailbox: 'm',
    revision: 1,
    reached: { accepted: 0 },
    end: undefined,
    expiresAtMs: undefined,
    sizeBytes: 5,
    digest: 'd',
    copy: { body: bytes('hello'), contentType: 'text/plain', headers: { big: 2n ** 60n }, priority: undefined },
    puts: 0,
    token: 't',
    supersededBy: undefined,
    outcome: undefined,
    tell: undefined,
    isTold: false,
    ...changes,
  };
}
