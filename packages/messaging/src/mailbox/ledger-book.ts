import { endDueAtMs, type LetterRecord, type MailboxLedger, type MailboxRecord } from './ledger.js';

/** One change of a ledger: all that a file of them has to hold. */
export type LedgerChange =
  | { readonly mailbox: MailboxRecord }
  | { readonly removed: string }
  | { readonly letter: LetterRecord }
  | { readonly forgotten: readonly string[] };

/** What a ledger knows, in this process: decides whether a change fits and answers questions. */
export class LedgerBook {
  readonly #mailboxes = new Map<string, MailboxRecord>();
  readonly #letters = new Map<string, LetterRecord>();
  /** Letters without an end, by mailbox, in the order in which they were accepted. */
  readonly #open = new Map<string, Map<string, LetterRecord>>();

  apply(change: LedgerChange): void {
    if ('mailbox' in change) this.#mailboxes.set(change.mailbox.name, change.mailbox);
    else if ('removed' in change) this.#mailboxes.delete(change.removed);
    else if ('letter' in change) this.#applyLetter(change.letter);
    else for (const id of change.forgotten) this.#letters.delete(id);
  }

  /** The shortest list of changes that makes a book like this one. */
  changes(): readonly LedgerChange[] {
    return [
      ...Array.from(this.#mailboxes.values(), (mailbox) => ({ mailbox })),
      ...Array.from(this.#letters.values(), (letter) => ({ letter })),
    ];
  }

  get size(): number {
    return this.#mailboxes.size + this.#letters.size;
  }

  find(name: string): MailboxRecord | undefined {
    return this.#mailboxes.get(name);
  }

  findLetter(id: string): LetterRecord | undefined {
    return this.#letters.get(id);
  }

  mayFollow(record: MailboxRecord): boolean {
    return (this.#mailboxes.get(record.name)?.revision ?? 0) === record.revision - 1;
  }

  mayFollowLetter(record: LetterRecord): boolean {
    return (this.#letters.get(record.id)?.revision ?? 0) === record.revision - 1;
  }

  /** Letters of a mailbox that have no end, oldest first. */
  open(name: string): readonly LetterRecord[] {
    return [...(this.#open.get(name)?.values() ?? [])];
  }

  usage(name: string): { readonly letters: number; readonly bytes: number } {
    const waiting = this.open(name).filter(({ reached }) => reached.delivered === undefined);
    return { letters: waiting.length, bytes: waiting.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
  }

  due(nowMs: number): { readonly mailboxes: readonly string[]; readonly letters: readonly string[] } {
    const isOver = (record: MailboxRecord): boolean =>
      record.closingReason !== undefined || nowMs >= endDueAtMs(record);
    return {
      mailboxes: [...this.#mailboxes.values()].filter(isOver).map(({ name }) => name),
      letters: [...this.#letters.values()].filter((letter) => isDue(letter, nowMs)).map(({ id }) => id),
    };
  }

  /** Ids of the letters that need not be remembered any longer. */
  forgettable(endedBeforeMs: number): readonly string[] {
    const isOld = ({ end, isTold, tell }: LetterRecord): boolean =>
      end !== undefined && end.atMs < endedBeforeMs && (isTold || tell === undefined);
    return [...this.#letters.values()].filter(isOld).map(({ id }) => id);
  }

  #applyLetter(letter: LetterRecord): void {
    this.#letters.set(letter.id, letter);
    const open = this.#open.get(letter.mailbox) ?? new Map<string, LetterRecord>();
    if (letter.end === undefined) open.set(letter.id, letter);
    else open.delete(letter.id);
    if (open.size > 0) this.#open.set(letter.mailbox, open);
    else this.#open.delete(letter.mailbox);
  }
}

/** A ledger that lives as long as the process. */
export function memoryLedger(): MailboxLedger {
  return ledgerOver(new LedgerBook(), async () => undefined);
}

/** A ledger over a book; `write` makes a change durable before anybody hears of it. */
export function ledgerOver(book: LedgerBook, write: (change: LedgerChange) => Promise<void>): MailboxLedger {
  const make = async (change: LedgerChange): Promise<void> => {
    // The book first, at once: what is being written must be seen by whoever decides meanwhile.
    book.apply(change);
    await write(change);
  };
  return {
    find: async (name) => book.find(name),
    save: async (mailbox) => {
      if (!book.mayFollow(mailbox)) return false;
      await make({ mailbox });
      return true;
    },
    remove: (name) => make({ removed: name }),
    letters: async (name) => book.open(name),
    usage: async (name) => book.usage(name),
    findLetter: async (id) => book.findLetter(id),
    saveLetter: async (letter) => {
      if (!book.mayFollowLetter(letter)) return false;
      await make({ letter });
      return true;
    },
    due: async (nowMs) => book.due(nowMs),
    forget: async (endedBeforeMs) => {
      const forgotten = book.forgettable(endedBeforeMs);
      if (forgotten.length > 0) await make({ forgotten });
      return forgotten.length;
    },
  };
}

function isDue({ end, expiresAtMs, reached, tell, isTold }: LetterRecord, nowMs: number): boolean {
  if (end !== undefined) return tell !== undefined && !isTold && end.how !== 'refused';
  return expiresAtMs !== undefined && nowMs >= expiresAtMs && reached.delivered === undefined;
}
