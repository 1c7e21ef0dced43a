import { Background, silentLogger, type Clock, type Logger, type Service } from '@torcello/platform';
import type { Destination } from '../driver.js';
import { MessagingError } from '../errors.js';
import type { OperationOptions, Transport } from '../transport/transport.js';
import { BrokerMailboxes } from './broker-mailboxes.js';
import type { ClaimAttempt } from './claims.js';
import type { MailboxEnd } from './closing.js';
import type { Explanation } from './explain.js';
import { LedgerDesk } from './ledger-desk.js';
import type { LetterRecord, MailboxClaim, MailboxLedger } from './ledger.js';
import type { Letter, OutgoingLetter, Receipt } from './letter.js';
import type { ReadOptions } from './reading.js';
import type { LetterNotice } from './receipt-wire.js';

export interface MailboxesOptions {
  /** Remembers lifetimes, claims and what became of letters; without one, what needs it is refused. */
  readonly ledger?: MailboxLedger;
  /**
   * A mailbox of this name is where readers elsewhere say how far they are; letters ask for it. Needs a ledger, and
   * somebody who runs `collector`.
   */
  readonly receipts?: string;
  /** What the program cannot do without; refused with CAPABILITY_MISSING and a table where it is missing. */
  readonly needs?: readonly MailboxFeature[];
  /** Told of every mailbox that ends, before the ledger forgets it; twice, when a crash came between. */
  readonly onEnd?: (end: MailboxEnd) => void | Promise<void>;
  /** Told of every change of a letter that this program makes or hears of. */
  readonly onLetter?: (record: LetterRecord) => void;
  /** Default: the transport's. */
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** What mailboxes can do, depending on ledger and transport. */
export type MailboxFeature =
  | 'lifetime'
  | 'receipts'
  | 'claims'
  | 'superseding'
  | 'redelivery'
  | 'quota'
  | 'byteQuota'
  | 'priority'
  | 'refusals';

export interface MailboxOptions {
  /** How long it lives without what renews it. Default: until it is closed. Needs a ledger. */
  readonly lifetimeMs?: number;
  /** `reader` (default): contact with its reader starts the lifetime again. `nothing`: it ends that long after it was opened. */
  readonly renewedBy?: 'reader' | 'nothing';
  /** Where letters go that nobody began until its end. Default: they are in the inventory and nowhere else. */
  readonly deadLetter?: string | Destination;
  /** Letters that may wait in it; more are refused with QUOTA_EXCEEDED. Default: no limit. */
  readonly lengthMax?: number;
  /** Bytes of letters that may wait in it, as the ledger counts. Default: no limit. Needs a ledger. */
  readonly bytesMax?: number;
  /** Default 0: letters have no priorities. */
  readonly priorityMax?: number;
  /** Further destinations that lead to it; by name it is always reached. */
  readonly reachedBy?: readonly Destination[];
  /** Only one reader at a time gets letters. */
  readonly singleReader?: boolean;
  /**
   * Open it again after every reconnect. For the few mailboxes that a program reads itself; the default false suits
   * control planes with thousands of them, where the broker's disk remembers.
   */
  readonly isRestored?: boolean;
}

/** Durable mailboxes: opened before their owner is there, written by many, read by one. */
export interface Mailboxes {
  /** What these mailboxes can do. */
  readonly features: Readonly<Record<MailboxFeature, boolean>>;
  /**
   * Opens a mailbox, or checks that it is open with these terms. The control plane's business, never the reader's.
   * @throws CAPABILITY_MISSING for a term that cannot be honoured; EXPIRED while its end goes on; PRECONDITION_FAILED.
   */
  open(name: string, options?: MailboxOptions): Promise<void>;
  /**
   * Puts a letter into a mailbox; resolves when it is stored.
   * @throws UNROUTABLE when it is not open; QUOTA_EXCEEDED; EXPIRED when its end has begun; PRECONDITION_FAILED when the
   *   ledger knows another letter with this id; TOO_LARGE; TIMEOUT, ABORTED, CONNECTION_LOST: then `details.mayArrive`
   *   tells whether it may be stored, and putting it again is safe.
   */
  put(to: string | Destination, letter: OutgoingLetter, options?: OperationOptions): Promise<Receipt>;
  /**
   * Letters as they come, for `for await`; leaving the loop ends it and gives back what was not settled yet. Never opens
   * a mailbox: it waits while there is none, and goes on after every reconnect. Ends quietly when the signal is aborted or
   * the transport is closed. Letters that were superseded or withdrawn are dropped unread, as far as the reader can know:
   * by the ledger, or by letters that it was handed.
   * @throws ACCESS_REFUSED.
   */
  read(name: string, options?: ReadOptions): AsyncIterable<Letter>;
  /** The letter that is there now, if any. @throws NOT_FOUND. */
  take(name: string, options?: OperationOptions): Promise<Letter | undefined>;
  /** @throws NOT_FOUND. */
  inspect(name: string): Promise<{ readonly messages: number; readonly readers: number }>;
  /** Deletes a mailbox with what is in it, and tells nobody. */
  delete(name: string): Promise<void>;
  /**
   * The reader was heard of: the mailbox's lifetime starts again, if that renews it.
   * @throws ACCESS_REFUSED when `owner` is given and the mailbox was claimed by another.
   */
  touch(name: string, owner?: string): Promise<void>;

  /** What became of a letter, also long after; undefined when the ledger does not know it. */
  receipt(id: string): Promise<LetterRecord | undefined>;
  /** Why a letter is where it is, and what changes that. */
  explain(id: string): Promise<Explanation>;
  /** Puts a letter again, byte for byte; its reader drops the double. @throws NOT_FOUND, EXPIRED, and what `put` throws. */
  redeliver(id: string, options?: OperationOptions): Promise<Receipt>;
  /** Takes a letter back, unless its reader has begun: the answer tells by its `end`. @throws NOT_FOUND. */
  withdraw(id: string, reason?: string): Promise<LetterRecord>;
  /** A letter is with its reader for good (its result is there): its mailbox owes no word about it any more. */
  settle(name: string, letterId: string): Promise<void>;
  /** The sender has seen the result of a letter. */
  resultRead(id: string): Promise<void>;
  /** What senders are told in this mailbox of the ends of their letters. */
  notices(name: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<LetterNotice>;

  /** A token that lets one owner claim the mailbox, once. Default: it lives 15 minutes. An older one is void. @throws NOT_FOUND. */
  issueToken(name: string, options?: { readonly expiresMs?: number }): Promise<string>;
  /**
   * Binds a mailbox to an owner. The same owner with the same token is told the same again.
   * @throws ACCESS_REFUSED for a wrong or used token; EXPIRED; NOT_FOUND.
   */
  claim(name: string, attempt: ClaimAttempt): Promise<MailboxClaim>;

  /**
   * Ends a mailbox in order: refuses new letters, waits out those that are on their way, cuts the reader off, takes
   * what is left, deletes it, and tells what was in it, to each sender too. Interrupted, it goes on with the next call or
   * sweep.
   */
  close(name: string, reason?: string): Promise<MailboxEnd>;
  /**
   * Ends every mailbox whose lifetime is over and every letter that expired, and tells senders who were not told yet; the
   * answer tells of the mailboxes. Call it every now and then.
   */
  sweep(): Promise<readonly MailboxEnd[]>;
  /** Forgets what became of letters that ended longer ago. Answers how many. */
  forget(olderThanMs: number): Promise<number>;
  /** Reads what readers elsewhere say (option `receipts`) into the ledger, from `start` to `stop`. */
  collector(): Service;
  /** Resolves when no receipt of this program is under way any more. */
  flush(): Promise<void>;
}

/**
 * Mailboxes over a transport.
 * @throws CAPABILITY_MISSING when the transport has none, or something that the program needs is missing.
 */
export function mailboxes(transport: Transport, options: MailboxesOptions = {}): Mailboxes {
  if (!transport.capabilities.mailboxes) {
    throw new MessagingError('CAPABILITY_MISSING', 'the transport has no mailboxes', {
      details: { missing: ['mailboxes'] },
    });
  }
  const features = featuresOf(transport, options.ledger !== undefined);
  demand(features, options.needs ?? []);
  if (options.receipts !== undefined) demand(features, ['receipts']);
  const logger = options.logger ?? silentLogger;
  const background = new Background((what, error) => logger.warn(`${what} did not go out`, { error }));
  const office = {
    transport,
    desk: options.ledger === undefined ? undefined : new LedgerDesk(options.ledger),
    clock: options.clock ?? transport.clock,
    logger,
    receipts: options.receipts,
    background,
    onEnd: options.onEnd ?? (() => undefined),
    onLetter: options.onLetter ?? (() => undefined),
  };
  return new BrokerMailboxes(office, features);
}

function featuresOf(transport: Transport, hasLedger: boolean): Readonly<Record<MailboxFeature, boolean>> {
  const { administers, bounds, priorityMax, returns } = transport.capabilities;
  return {
    lifetime: hasLedger && administers,
    receipts: hasLedger,
    claims: hasLedger,
    superseding: hasLedger,
    redelivery: hasLedger,
    quota: bounds,
    byteQuota: hasLedger,
    priority: priorityMax > 0,
    refusals: returns,
  };
}

function demand(features: Readonly<Record<MailboxFeature, boolean>>, needs: readonly MailboxFeature[]): void {
  const missing = needs.filter((need) => !features[need]);
  if (missing.length === 0) return;
  const rows = needs.map((need) => `  mailbox.${need.padEnd(12)} ${missing.includes(need) ? 'missing' : 'there'}`);
  const message = `these mailboxes cannot do what this program needs:\n${rows.join('\n')}`;
  throw new MessagingError('CAPABILITY_MISSING', message, {
    details: { missing: missing.map((need) => `mailbox.${need}`), features },
  });
}
