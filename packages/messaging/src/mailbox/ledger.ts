/**
 * What a broker cannot tell about a mailbox: who opened it, how long it lives, when its reader was last heard of, and
 * which letters it owes a word about. Kept in memory here; a program may keep it in its own database.
 *
 * Every promise settles when the fact is as durable as the ledger is. Methods about an unknown mailbox do nothing.
 */
export interface MailboxLedger {
  /** Remembers an open mailbox; the same name again changes its terms and keeps its letters. */
  open(record: MailboxRecord): Promise<void>;
  find(name: string): Promise<MailboxRecord | undefined>;
  /** Its reader was heard of. */
  touch(name: string, atMs: number): Promise<void>;
  /** A letter is stored in it. */
  addLetter(name: string, letter: LetterRecord): Promise<void>;
  /** A letter needs no more word: its reader has it, or its sender was told. */
  removeLetter(name: string, id: string): Promise<void>;
  /** Letters without an end, oldest first. */
  letters(name: string): Promise<readonly LetterRecord[]>;
  /** No more letters: its end has begun, and goes on after a restart. */
  beginClosing(name: string, reason: string): Promise<void>;
  /** Forgets it. */
  remove(name: string): Promise<void>;
  /** Mailboxes whose end is due at this instant, or has begun. */
  due(nowMs: number): Promise<readonly MailboxRecord[]>;
}

export interface MailboxRecord {
  readonly name: string;
  /** Undefined: it lives until it is closed. */
  readonly lifetimeMs: number | undefined;
  readonly lengthMax: number | undefined;
  /** Its reader's latest contact; its opening, before there was one. */
  readonly contactAtMs: number;
  /** Set once its end has begun. */
  readonly closingReason: string | undefined;
}

export interface LetterRecord {
  readonly id: string;
  readonly storedAtMs: number;
  /** Undefined: as long as its mailbox. */
  readonly expiresAtMs: number | undefined;
}

/** A ledger that lives as long as the process. */
export function memoryLedger(): MailboxLedger {
  const boxes = new Map<string, { record: MailboxRecord; readonly letters: Map<string, LetterRecord> }>();
  const change = (name: string, changes: Partial<MailboxRecord>): void => {
    const box = boxes.get(name);
    if (box !== undefined) box.record = { ...box.record, ...changes };
  };
  return {
    open: async (record) => {
      boxes.set(record.name, { record, letters: boxes.get(record.name)?.letters ?? new Map<string, LetterRecord>() });
    },
    find: async (name) => boxes.get(name)?.record,
    touch: async (name, atMs) => change(name, { contactAtMs: atMs }),
    addLetter: async (name, letter) => void boxes.get(name)?.letters.set(letter.id, letter),
    removeLetter: async (name, id) => void boxes.get(name)?.letters.delete(id),
    letters: async (name) => [...(boxes.get(name)?.letters.values() ?? [])],
    beginClosing: async (name, reason) => change(name, { closingReason: reason }),
    remove: async (name) => void boxes.delete(name),
    due: async (nowMs) => [...boxes.values()].map(({ record }) => record).filter((record) => isDue(record, nowMs)),
  };
}

function isDue(record: MailboxRecord, nowMs: number): boolean {
  if (record.closingReason !== undefined) return true;
  return record.lifetimeMs !== undefined && nowMs >= record.contactAtMs + record.lifetimeMs;
}
