import type { Service } from '@torcello/platform';
import type { Destination, TopologyOptions } from '../driver.js';
import { MessagingError } from '../errors.js';
import type { OperationOptions } from '../transport/transport.js';
import { claimMailbox, issueToken, refuseReplaced, type ClaimAttempt } from './claims.js';
import { closeMailbox, type MailboxEnd } from './closing.js';
import { ReceiptCollector } from './collector.js';
import { explainLetter, type Explanation } from './explain.js';
import type { LetterRecord, MailboxClaim, MailboxRecord } from './ledger.js';
import { letterOf, type Letter, type OutgoingLetter, type Receipt } from './letter.js';
import type { MailboxFeature, Mailboxes, MailboxOptions } from './mailboxes.js';
import { deskOf, destinationOf, tellSender, tellSenderSoon, type Office } from './office.js';
import { publishLetter } from './publish-letter.js';
import { putRecorded, redeliver, refusal } from './putting.js';
import { readMailbox, type ReadOptions } from './reading.js';
import { decodeNotice, type LetterNotice } from './receipt-wire.js';
import { reportingDuty } from './reports.js';

/** Mailboxes as queues of a broker, with or without a ledger. */
export class BrokerMailboxes implements Mailboxes {
  readonly features: Readonly<Record<MailboxFeature, boolean>>;
  readonly #office: Office;
  /** Terms of the mailboxes that this program opened, to name a refusal rightly. */
  readonly #lengthMax = new Map<string, number>();

  constructor(office: Office, features: Readonly<Record<MailboxFeature, boolean>>) {
    this.#office = office;
    this.features = features;
  }

  async open(name: string, options: MailboxOptions = {}): Promise<void> {
    const { lengthMax, reachedBy = [], isRestored = false } = options;
    this.#refuseTerms(options);
    // The ledger first: a mailbox that it does not know would live for ever.
    await this.#record(name, options);
    const topology = { kind: 'mailbox', source: { queue: name }, reachedBy, options: termsOf(options) } as const;
    await this.#office.transport.ensure(topology, { isRestored });
    if (lengthMax !== undefined) this.#lengthMax.set(name, lengthMax);
  }

  async put(to: string | Destination, letter: OutgoingLetter, options: OperationOptions = {}): Promise<Receipt> {
    const { desk, transport, clock } = this.#office;
    const name = typeof to === 'string' ? to : undefined;
    const record = name === undefined ? undefined : await desk?.ledger.find(name);
    if (desk !== undefined && record !== undefined) {
      return putRecorded({ office: this.#office, desk, record, letter, options });
    }
    if (letter.tell !== undefined) deskOf(this.#office, 'telling the sender of a letter');
    try {
      await publishLetter(transport, destinationOf(to), letter, options);
    } catch (error) {
      throw name === undefined ? error : refusal(error, name, this.#lengthMax.get(name));
    }
    return { id: letter.id, storedAtMs: clock.now() };
  }

  read(name: string, options: ReadOptions = {}): AsyncIterable<Letter> {
    const { transport, desk } = this.#office;
    const duty = reportingDuty(this.#office, options);
    const isOver = async ({ id }: Letter): Promise<boolean> => isDropped(await desk?.ledger.findLetter(id));
    return readMailbox(transport, name, {
      ...options,
      duty,
      ...(desk === undefined ? {} : { isOver }),
    });
  }

  async take(name: string, options: OperationOptions = {}): Promise<Letter | undefined> {
    const { transport, desk } = this.#office;
    const duty = reportingDuty(this.#office, {});
    for (;;) {
      const delivery = await transport.get({ queue: name }, options);
      if (delivery === undefined) return undefined;
      const letter = letterOf(delivery, duty);
      if (isDropped(await desk?.ledger.findLetter(letter.id))) delivery.accept();
      else {
        duty.onHandedOut(letter);
        return letter;
      }
    }
  }

  async inspect(name: string): Promise<{ readonly messages: number; readonly readers: number }> {
    const { messages, consumers } = await this.#office.transport.inspect({ queue: name });
    return { messages, readers: consumers };
  }

  async delete(name: string): Promise<void> {
    this.#lengthMax.delete(name);
    await this.#office.transport.delete({ queue: name });
    await this.#office.desk?.ledger.remove(name);
  }

  async touch(name: string, owner?: string): Promise<void> {
    const { desk, clock } = this.#office;
    await desk?.changeMailbox(name, (record) => {
      if (owner !== undefined) refuseReplaced(record, owner);
      return { contactAtMs: clock.now() };
    });
  }

  async receipt(id: string): Promise<LetterRecord | undefined> {
    return deskOf(this.#office, 'the receipt of a letter').ledger.findLetter(id);
  }

  async explain(id: string): Promise<Explanation> {
    return explainLetter(this.#office, id);
  }

  async redeliver(id: string, options: OperationOptions = {}): Promise<Receipt> {
    return redeliver(this.#office, deskOf(this.#office, 'putting a letter again'), id, options);
  }

  async withdraw(id: string, reason: string = 'its sender took it back'): Promise<LetterRecord> {
    const desk = deskOf(this.#office, 'taking a letter back');
    const atMs = this.#office.clock.now();
    const record = await desk.end(id, { how: 'withdrawn', atMs, reason, onlyBefore: 'started' });
    if (record === undefined) {
      throw new MessagingError('NOT_FOUND', `the ledger knows no letter "${id}"`, { details: { id } });
    }
    this.#office.onLetter(record);
    if (record.end !== undefined) tellSenderSoon(this.#office, id);
    return record;
  }

  async settle(name: string, letterId: string): Promise<void> {
    const { desk, clock } = this.#office;
    const known = await desk?.ledger.findLetter(letterId);
    if (known?.mailbox !== name) return;
    await desk?.end(letterId, { how: 'finished', atMs: clock.now(), reason: 'its result is there' });
    tellSenderSoon(this.#office, letterId);
  }

  async resultRead(id: string): Promise<void> {
    const desk = deskOf(this.#office, 'noting that a result was read');
    const record = await desk.reach(id, 'resultRead', this.#office.clock.now());
    if (record !== undefined) this.#office.onLetter(record);
  }

  async *notices(name: string, options: { readonly signal?: AbortSignal } = {}): AsyncIterable<LetterNotice> {
    for await (const letter of readMailbox(this.#office.transport, name, options)) {
      const notice = decodeNotice(letter);
      if (notice !== undefined) yield notice;
      letter.accept();
    }
  }

  issueToken(name: string, options: { readonly expiresMs?: number } = {}): Promise<string> {
    return issueToken(this.#office, name, options.expiresMs);
  }

  claim(name: string, attempt: ClaimAttempt): Promise<MailboxClaim> {
    return claimMailbox(this.#office, name, attempt);
  }

  async close(name: string, reason: string = 'closed by its owner'): Promise<MailboxEnd> {
    this.#lengthMax.delete(name);
    return closeMailbox(this.#office, name, reason);
  }

  async sweep(): Promise<readonly MailboxEnd[]> {
    const { clock, logger } = this.#office;
    const due = await deskOf(this.#office, 'sweeping').ledger.due(clock.now());
    await Promise.all(due.letters.map((id) => this.#sweepLetter(id)));
    const ends = await Promise.allSettled(due.mailboxes.map((name) => this.close(name, 'its lifetime is over')));
    return ends.flatMap((end, at) => {
      if (end.status === 'fulfilled') return [end.value];
      const mailbox = due.mailboxes[at];
      logger.error('a mailbox could not be closed, the next sweep tries again', { error: end.reason, mailbox });
      return [];
    });
  }

  async forget(olderThanMs: number): Promise<number> {
    const { ledger } = deskOf(this.#office, 'forgetting letters');
    return ledger.forget(this.#office.clock.now() - olderThanMs);
  }

  collector(): Service {
    const { receipts } = this.#office;
    deskOf(this.#office, 'collecting receipts');
    if (receipts === undefined) throw new TypeError('the option `receipts` names the mailbox to collect from');
    return new ReceiptCollector(this.#office, receipts);
  }

  flush(): Promise<void> {
    return this.#office.background.settled();
  }

  /** What cannot be honoured is refused, never ignored. */
  #refuseTerms(options: MailboxOptions): void {
    const { lifetimeMs, renewedBy, deadLetter, bytesMax } = options;
    if (lifetimeMs !== undefined) deskOf(this.#office, 'a lifetime of a mailbox');
    if (bytesMax !== undefined) deskOf(this.#office, 'a quota of bytes');
    if (deadLetter !== undefined) deskOf(this.#office, 'a dead-letter address for the end of a mailbox');
    if (renewedBy !== undefined && lifetimeMs === undefined) {
      throw new TypeError('`renewedBy` says what renews a lifetime; there is no `lifetimeMs`');
    }
    if (lifetimeMs !== undefined && !this.features.lifetime) {
      const details = { missing: ['administers'] };
      throw new MessagingError('CAPABILITY_MISSING', 'the transport cannot end a mailbox', { details });
    }
  }

  async #record(name: string, options: MailboxOptions): Promise<void> {
    const { desk, clock } = this.#office;
    if (desk === undefined) return;
    const { lifetimeMs, renewedBy = 'reader', lengthMax, bytesMax, deadLetter } = options;
    const terms = {
      lifetimeMs,
      renewedBy,
      lengthMax,
      bytesMax,
      deadLetter: deadLetter === undefined ? undefined : destinationOf(deadLetter),
    };
    const fresh: MailboxRecord = {
      ...terms,
      name,
      revision: 1,
      openedAtMs: clock.now(),
      contactAtMs: undefined,
      closingReason: undefined,
      token: undefined,
      claim: undefined,
    };
    if (await desk.ledger.save(fresh)) return;
    await desk.changeMailbox(name, ({ closingReason }) => {
      if (closingReason === undefined) return terms;
      const details = { mailbox: name, reason: closingReason };
      throw new MessagingError('EXPIRED', `mailbox "${name}" is at its end: ${closingReason}`, { details });
    });
  }

  async #sweepLetter(id: string): Promise<void> {
    const { desk, clock, logger } = this.#office;
    try {
      const ending = { how: 'expired', atMs: clock.now(), reason: 'its time was over before a reader had it' } as const;
      const record = await desk?.end(id, { ...ending, onlyBefore: 'delivered' });
      if (record?.end?.how === 'expired') this.#office.onLetter(record);
      await tellSender(this.#office, id);
    } catch (error) {
      logger.warn('the sender of a letter could not be told of its end, the next sweep tries again', { error, id });
    }
  }
}

function termsOf({ lengthMax, priorityMax, singleReader }: MailboxOptions): TopologyOptions {
  return {
    ...(lengthMax === undefined ? {} : { lengthMax, whenFull: 'refuse' as const }),
    ...(priorityMax === undefined ? {} : { priorityMax }),
    ...(singleReader === undefined ? {} : { singleReader }),
  };
}

/** What its sender took back or replaced, its reader shall not see. */
function isDropped(record: LetterRecord | undefined): boolean {
  return record?.end?.how === 'superseded' || record?.end?.how === 'withdrawn';
}
