import type { Delivery, Destination } from '../driver.js';
import type { LetterStage } from './letter-stage.js';

/** What goes into a mailbox. */
export interface OutgoingLetter {
  /**
   * Chosen by the sender; the same letter put again carries the same id, and its reader drops the double. With a ledger
   * one letter of all its mailboxes has it.
   */
  readonly id: string;
  readonly body: Uint8Array;
  /** Default `application/octet-stream`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Nobody shall read it later than this. Default: it waits as long as its mailbox lives. */
  readonly expiresMs?: number;
  /** Higher comes first, up to the mailbox's `priorityMax`. Default 0. */
  readonly priority?: number;
  /** Ids of letters that this one stands for: their reader does not see them any more, unless it has begun. */
  readonly supersedes?: readonly string[];
  /** A mailbox or destination that is told how the letter ended, as a `LetterNotice`. Needs a ledger. */
  readonly tell?: string | Destination;
}

/** What comes out of a mailbox: handed over once, settled by exactly one of the three. */
export interface Letter {
  /** Empty when its sender gave none. */
  readonly id: string;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Somebody may have seen it before. */
  readonly redelivered: boolean;
  /** Where its sender put it. */
  readonly destination: Destination;
  /** The sender's login, where the broker vouches for it. */
  readonly userId: string | undefined;
  /** Done with it. False: too late, the connection was lost, and it will come again. */
  accept(): boolean;
  /** Give it back, for this or another reader. */
  release(): boolean;
  /** It can never be handled. */
  reject(): boolean;
  /**
   * Tells its sender's side how far it is; resolves when that is stored there, at once where nobody wants to know. May be
   * called after `accept`.
   * @throws what `put` throws.
   */
  report(stage: ReportedStage, outcome?: ReportedOutcome): Promise<void>;
}

/** What a reader says of a letter. */
export type ReportedStage = 'delivered' | 'started' | 'finished' | 'rejected';

export interface ReportedOutcome {
  /** A word of the reader's own, as `ok` or `failed`. */
  readonly outcome?: string;
  readonly result?: Uint8Array;
}

/** The broker's word that a letter is stored. */
export interface Receipt {
  readonly id: string;
  readonly storedAtMs: number;
  /** With `supersedes`, and a ledger: what became of each of those. */
  readonly superseded?: readonly SupersededLetter[];
}

export interface SupersededLetter {
  readonly id: string;
  /** `tooLate`: its reader had begun, or it had ended. `unknown`: the ledger knows no such letter. */
  readonly verdict: 'superseded' | 'tooLate' | 'unknown';
  readonly stage: LetterStage | undefined;
}

export const defaultContentType = 'application/octet-stream';

/** The header of a letter that stands for others: their ids. */
export const supersedesHeader = 'torcello-supersedes';

/** What a reader does besides settling; the default does nothing. */
export interface LetterDuty {
  readonly report: (letter: Letter, stage: ReportedStage, outcome: ReportedOutcome) => Promise<void>;
  readonly onHandedOut: (letter: Letter) => void;
  /** Called when it was settled in time. */
  readonly onAccepted: (letter: Letter) => void;
  readonly onReleased: (letter: Letter) => void;
  readonly onRejected: (letter: Letter) => void;
}

const nothing = (): void => undefined;
const noDuty: LetterDuty = {
  report: async () => undefined,
  onHandedOut: nothing,
  onAccepted: nothing,
  onReleased: nothing,
  onRejected: nothing,
};

export function letterOf(delivery: Delivery, duty: LetterDuty = noDuty): Letter {
  const { message, redelivered, destination } = delivery;
  const { messageId, contentType = defaultContentType, userId } = message.properties;
  const settled = (isInTime: boolean, then: (letter: Letter) => void): boolean => {
    if (isInTime) then(letter);
    return isInTime;
  };
  const letter: Letter = {
    id: messageId ?? headerId(message.headers) ?? '',
    body: message.body,
    contentType,
    headers: message.headers,
    redelivered,
    destination,
    userId,
    accept: () => settled(delivery.accept(), duty.onAccepted),
    release: () => settled(delivery.release(), duty.onReleased),
    reject: () => settled(delivery.reject(), duty.onRejected),
    report: (stage, outcome = {}) => duty.report(letter, stage, outcome),
  };
  return letter;
}

/** Ids of the letters that this one stands for. */
export function supersededBy(letter: Letter): readonly string[] {
  const ids = letter.headers[supersedesHeader];
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
}

/** Murano's later messaging wrapper put the id into the headers. */
function headerId(headers: Readonly<Record<string, unknown>>): string | undefined {
  const id = headers['message_id'];
  return typeof id === 'string' ? id : undefined;
}
