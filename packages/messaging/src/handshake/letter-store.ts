/** A letter that waits with a keeper of mailboxes. */
export interface KeptLetter {
  /** Order of arrival, unique in the store. */
  readonly sequence: number;
  readonly id: string;
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Nobody reads it from then on. Milliseconds since 1970. */
  readonly expiresAtMs: number | undefined;
  /** A reader may have seen it. */
  readonly wasHandedOut: boolean;
}

export type NewLetter = Omit<KeptLetter, 'sequence' | 'wasHandedOut'>;

/** Where a keeper of mailboxes keeps them. Every promise resolves when the change survives a crash. */
export interface LetterStore {
  /** Fine when it is open. */
  open(mailbox: string): Promise<void>;
  /** False: there is no such mailbox. A letter whose id waits in it already changes nothing. */
  add(mailbox: string, letter: NewLetter): Promise<boolean>;
  /** The oldest letter that has not expired, but for those in hand. */
  next(mailbox: string, inHand: readonly number[], nowMs: number): Promise<KeptLetter | undefined>;
  markHandedOut(sequence: number): Promise<void>;
  remove(sequence: number): Promise<void>;
  /** Letters that wait, or undefined where there is no such mailbox. */
  count(mailbox: string, nowMs: number): Promise<number | undefined>;
  /** Takes it away with what is in it; fine when it is not there. */
  delete(mailbox: string): Promise<void>;
}

/** Keeps letters for as long as the process lives. */
export function memoryLetterStore(): LetterStore {
  const boxes = new Map<string, KeptLetter[]>();
  let last = 0;
  const fresh = (mailbox: string, nowMs: number): readonly KeptLetter[] | undefined =>
    boxes.get(mailbox)?.filter(({ expiresAtMs = Infinity }) => expiresAtMs > nowMs);
  const change = (sequence: number, edit: (letter: KeptLetter) => readonly KeptLetter[]): void => {
    for (const letters of boxes.values()) {
      const place = letters.findIndex((letter) => letter.sequence === sequence);
      const letter = letters[place];
      if (letter !== undefined) letters.splice(place, 1, ...edit(letter));
    }
  };
  return {
    open: async (mailbox) => void boxes.set(mailbox, boxes.get(mailbox) ?? []),
    add: async (mailbox, letter) => {
      const letters = boxes.get(mailbox);
      if (letters?.some(({ id }) => id === letter.id) === false) {
        last += 1;
        letters.push({ ...letter, sequence: last, wasHandedOut: false });
      }
      return letters !== undefined;
    },
    next: async (mailbox, inHand, nowMs) => fresh(mailbox, nowMs)?.find(({ sequence }) => !inHand.includes(sequence)),
    markHandedOut: async (sequence) => change(sequence, (letter) => [{ ...letter, wasHandedOut: true }]),
    remove: async (sequence) => change(sequence, () => []),
    count: async (mailbox, nowMs) => fresh(mailbox, nowMs)?.length,
    delete: async (mailbox) => void boxes.delete(mailbox),
  };
}
