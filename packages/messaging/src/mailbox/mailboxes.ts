import { silentLogger, type Clock, type Logger } from '@torcello/platform';
import type { Destination, OutgoingMessage } from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { traceHeaders } from '../rpc/call-scope.js';
import type { OperationOptions, Transport } from '../transport/transport.js';
import { closeMailbox, type MailboxEnd } from './closing.js';
import type { MailboxLedger } from './ledger.js';
import { defaultContentType, letterOf, type Letter, type OutgoingLetter, type Receipt } from './letter.js';
import { readMailbox, type ReadOptions } from './reading.js';

export interface MailboxesOptions {
  /** Remembers lifetimes and open letters; without one `lifetimeMs` and `close` are refused. */
  readonly ledger?: MailboxLedger;
  /** Default: the transport's. */
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface MailboxOptions {
  /** How long it lives without contact from its reader (see `touch`). Default: until it is closed. Needs a ledger. */
  readonly lifetimeMs?: number;
  /** Letters that may wait in it; more are refused with QUOTA_EXCEEDED. Default: no limit. */
  readonly lengthMax?: number;
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
  /** Opens a mailbox, or checks that it is open with these terms. The control plane's business, never the reader's. */
  open(name: string, options?: MailboxOptions): Promise<void>;
  /**
   * Puts a letter into a mailbox; resolves when it is stored.
   * @throws UNROUTABLE when it is not open; QUOTA_EXCEEDED; EXPIRED when its end has begun; TOO_LARGE; TIMEOUT, ABORTED,
   *   CONNECTION_LOST: then `details.mayArrive` tells whether it may be stored, and putting it again is safe.
   */
  put(to: string | Destination, letter: OutgoingLetter, options?: OperationOptions): Promise<Receipt>;
  /**
   * Letters as they come, for `for await`; leaving the loop ends it and gives back what was not settled yet. Never opens
   * a mailbox: it waits while there is none, and goes on after every reconnect. Ends quietly when the signal is aborted or the transport is closed.
   * @throws ACCESS_REFUSED.
   */
  read(name: string, options?: ReadOptions): AsyncIterable<Letter>;
  /** The letter that is there now, if any. @throws NOT_FOUND. */
  take(name: string, options?: OperationOptions): Promise<Letter | undefined>;
  /** @throws NOT_FOUND. */
  inspect(name: string): Promise<{ readonly messages: number; readonly readers: number }>;
  /** Deletes a mailbox with what is in it, and tells nobody. */
  delete(name: string): Promise<void>;
  /** The reader was heard of: the mailbox's lifetime starts again. */
  touch(name: string): Promise<void>;
  /** A letter is with its reader for good (its result is there): its mailbox owes no word about it any more. */
  settle(name: string, letterId: string): Promise<void>;
  /**
   * Ends a mailbox in order: refuses new letters, waits out those that are on their way, cuts the reader off, takes
   * what is left, deletes it, and tells what was in it. Interrupted, it goes on with the next call or sweep.
   */
  close(name: string, reason?: string): Promise<MailboxEnd>;
  /** Ends every mailbox whose lifetime is over; the answer tells of each. */
  sweep(): Promise<readonly MailboxEnd[]>;
}

/** Mailboxes over a transport. @throws CAPABILITY_MISSING when the transport has none. */
export function mailboxes(transport: Transport, options: MailboxesOptions = {}): Mailboxes {
  if (!transport.capabilities.mailboxes) {
    throw new MessagingError('CAPABILITY_MISSING', 'the transport has no mailboxes', {
      details: { missing: ['mailboxes'] },
    });
  }
  const logger = options.logger ?? silentLogger;
  return new BrokerMailboxes(transport, { ...options, logger, clock: options.clock ?? transport.clock });
}

type Setting = MailboxesOptions & { readonly clock: Clock; readonly logger: Logger };

class BrokerMailboxes implements Mailboxes {
  readonly #transport: Transport;
  readonly #setting: Setting;
  /** Terms of the mailboxes that this program opened, to name a refusal rightly. */
  readonly #lengthMax = new Map<string, number>();

  constructor(transport: Transport, setting: Setting) {
    this.#transport = transport;
    this.#setting = setting;
  }

  async open(name: string, options: MailboxOptions = {}): Promise<void> {
    const { lifetimeMs, lengthMax, priorityMax, reachedBy = [], singleReader, isRestored = false } = options;
    const { ledger, clock } = this.#setting;
    if (lifetimeMs !== undefined && ledger === undefined) throw ledgerMissing('a lifetime');
    // The ledger first: a mailbox that it does not know would live for ever.
    const contactAtMs = clock.now();
    await ledger?.open({ name, lifetimeMs, lengthMax, contactAtMs, closingReason: undefined });
    const terms = {
      ...(lengthMax === undefined ? {} : { lengthMax, whenFull: 'refuse' as const }),
      ...(priorityMax === undefined ? {} : { priorityMax }),
      ...(singleReader === undefined ? {} : { singleReader }),
    };
    await this.#transport.ensure(
      { kind: 'mailbox', source: { queue: name }, reachedBy, options: terms },
      { isRestored },
    );
    if (lengthMax !== undefined) this.#lengthMax.set(name, lengthMax);
  }

  async put(to: string | Destination, letter: OutgoingLetter, options: OperationOptions = {}): Promise<Receipt> {
    const { ledger, clock } = this.#setting;
    const name = typeof to === 'string' ? to : undefined;
    const destination = typeof to === 'string' ? { exchange: '', routingKey: to } : to;
    const record = name === undefined ? undefined : await ledger?.find(name);
    if (record?.closingReason !== undefined) {
      const details = { mailbox: name, reason: record.closingReason };
      throw new MessagingError('EXPIRED', `mailbox "${record.name}" is at its end: ${record.closingReason}`, {
        details,
      });
    }
    try {
      // The reader drops a double by the letter's id.
      await this.#transport.publish(destination, this.#message(letter), { ...options, resend: true });
    } catch (error) {
      throw this.#refusal(error, name, record?.lengthMax);
    }
    const storedAtMs = clock.now();
    if (record !== undefined) {
      const expiresAtMs = letter.expiresMs === undefined ? undefined : storedAtMs + letter.expiresMs;
      await ledger?.addLetter(record.name, { id: letter.id, storedAtMs, expiresAtMs });
    }
    return { id: letter.id, storedAtMs };
  }

  read(name: string, options: ReadOptions = {}): AsyncIterable<Letter> {
    return readMailbox(this.#transport, name, options);
  }

  async take(name: string, options: OperationOptions = {}): Promise<Letter | undefined> {
    const delivery = await this.#transport.get({ queue: name }, options);
    return delivery === undefined ? undefined : letterOf(delivery);
  }

  async inspect(name: string): Promise<{ readonly messages: number; readonly readers: number }> {
    const { messages, consumers } = await this.#transport.inspect({ queue: name });
    return { messages, readers: consumers };
  }

  async delete(name: string): Promise<void> {
    this.#lengthMax.delete(name);
    await this.#transport.delete({ queue: name });
    await this.#setting.ledger?.remove(name);
  }

  async touch(name: string): Promise<void> {
    await this.#setting.ledger?.touch(name, this.#setting.clock.now());
  }

  async settle(name: string, letterId: string): Promise<void> {
    await this.#setting.ledger?.removeLetter(name, letterId);
  }

  async close(name: string, reason: string = 'closed by its owner'): Promise<MailboxEnd> {
    const { ledger, clock } = this.#setting;
    if (ledger === undefined) throw ledgerMissing('closing with an inventory');
    this.#lengthMax.delete(name);
    return closeMailbox({
      transport: this.#transport,
      ledger,
      clock,
      name,
      reason,
      settleMs: limits.operationTimeoutMs,
    });
  }

  async sweep(): Promise<readonly MailboxEnd[]> {
    const { ledger, clock, logger } = this.#setting;
    if (ledger === undefined) throw ledgerMissing('sweeping');
    const due = await ledger.due(clock.now());
    const ends = await Promise.allSettled(
      due.map(({ name, closingReason }) => this.close(name, closingReason ?? 'its lifetime is over')),
    );
    return ends.flatMap((end, at) => {
      if (end.status === 'fulfilled') return [end.value];
      logger.error('a mailbox could not be closed, the next sweep tries again', {
        error: end.reason,
        mailbox: due[at]?.name,
      });
      return [];
    });
  }

  #message(letter: OutgoingLetter): OutgoingMessage {
    const { id, body, contentType = defaultContentType, headers = {}, expiresMs, priority } = letter;
    const timestampMs = this.#setting.clock.now();
    return {
      body,
      headers: { ...traceHeaders(this.#transport.random), ...headers },
      properties: { messageId: id, contentType, timestampMs, ...(priority === undefined ? {} : { priority }) },
      persistent: true,
      ifNobody: 'fail',
      ...(expiresMs === undefined ? {} : { expiresMs }),
    };
  }

  #refusal(error: unknown, name: string | undefined, recordedMax: number | undefined): unknown {
    if (!isMessagingError(error, 'NOT_CONFIRMED') || name === undefined) return error;
    const lengthMax = this.#lengthMax.get(name) ?? recordedMax;
    if (lengthMax === undefined) return error;
    const options = { cause: error, details: { mailbox: name, lengthMax } };
    return new MessagingError(
      'QUOTA_EXCEEDED',
      `mailbox "${name}" holds as many letters as it may: ${lengthMax}`,
      options,
    );
  }
}

function ledgerMissing(what: string): MessagingError {
  const details = { missing: ['mailbox.lifetime'] };
  return new MessagingError('CAPABILITY_MISSING', `${what} of a mailbox needs a ledger`, { details });
}
