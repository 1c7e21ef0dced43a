import { StoreFull } from './message-store.js';
import type { MessagePlace, MessageStore, StoreOperation } from './message-store.js';

/** What happens to a message whose change the full disk refused: it goes, as its sender is told, or stays in memory. */
export type Refusal = 'withdraw' | 'keep';

/** Somebody whose changes may be refused when the disk is full. */
export interface ChangeOwner {
  /** These changes never happened. */
  changesRefused(places: readonly MessagePlace[], refusal: Refusal): void;
}

/** A change that has not reached the store yet and may still be taken back. */
export interface PendingChange {
  /** The batch that carries it; see `CommitLog.whenDurable`. */
  readonly ticket: number;
  operation: StoreOperation | undefined;
  /** Undefined for a change that must happen and waits for room. */
  readonly owner: ChangeOwner | undefined;
  readonly refusal: Refusal;
}

/** What a start found in the store: it can no longer be taken back. */
export const recoveredChange: PendingChange = { ticket: 0, operation: undefined, owner: undefined, refusal: 'keep' };

/** What the log tells the broker. */
export interface CommitLogEvents {
  /** Called once: a commit failed, and nobody knows what the disk holds. */
  onFailure(error: unknown): void;
  /** The disk is full. With `goOn` there are changes that must happen: call it when it is worth another try. */
  onFull?(goOn: (() => void) | undefined): void;
  /** Bytes of a commit, roughly. */
  onCommitted?(bytes: number): void;
}

/**
 * Group commit: gathers changes while a commit runs and hands them to the store as the next one. Batches are numbered
 * by tickets and become durable in that order. When the disk is full, changes that may be refused are, and the others go
 * with the next batch. Any other failed commit ends the broker: no ticket becomes durable any more.
 */
export class CommitLog {
  readonly #store: MessageStore;
  readonly #events: CommitLogEvents;
  #gathering: PendingChange[] = [];
  #gatheredBytes = 0;
  #isRunning = false;
  #isScheduled = false;
  #hasFailed = false;
  #ticket = 1;
  #durable = 0;
  readonly #refused = new Set<number>();
  readonly #waiting = new Map<number, (() => void)[]>();
  readonly #deciding = new Map<number, (() => void)[]>();

  constructor(store: MessageStore, events: CommitLogEvents) {
    this.#store = store;
    this.#events = events;
  }

  /** Every batch up to this ticket is durable, but for what was refused. */
  get durableTicket(): number {
    return this.#durable;
  }

  /** A commit failed: no further ticket becomes durable. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether nothing waits for the disk. */
  get isSettled(): boolean {
    return !this.#isRunning && this.#gathering.length === 0;
  }

  /** The batch of the last change: when it is durable, so is everything before. */
  get ticketOfLast(): number {
    return this.#gathering.length > 0 ? this.#ticket : this.#ticket - 1;
  }

  /** Bytes that wait behind the running commit, roughly. */
  get waitingBytes(): number {
    return this.#isRunning ? this.#gatheredBytes : 0;
  }

  /** Whether the changes of this batch that could be refused were. */
  isRefused(ticket: number): boolean {
    return this.#refused.size > 0 && this.#refused.has(ticket);
  }

  /** Takes a change into the batch that is being gathered. */
  append(operation: StoreOperation, owner?: ChangeOwner, refusal: Refusal = 'withdraw'): PendingChange {
    const change = { ticket: this.#ticket, operation, owner, refusal };
    this.#gathering.push(change);
    this.#gatheredBytes += sizeOf(operation);
    this.#schedule();
    return change;
  }

  /**
   * Takes a change back if its batch has not been handed over. True when it was in time: then it never happened.
   * Whoever waits for the ticket is served all the same.
   */
  takeBack(change: PendingChange): boolean {
    if (change.ticket !== this.#ticket || change.operation === undefined) return false;
    change.operation = undefined;
    return true;
  }

  /** Calls `action` once the batch is durable; at once when it is. Never after a failure. */
  whenDurable(ticket: number, action: () => void): void {
    if (ticket <= this.#durable) return action();
    add(this.#waiting, this.isRefused(ticket) ? this.#ticket : ticket, action);
    this.#schedule();
  }

  /** Calls `action` once the batch is durable or its changes were refused; see `isRefused`. */
  whenDecided(ticket: number, action: () => void): void {
    if (ticket <= this.#durable || this.isRefused(ticket)) return action();
    add(this.#deciding, ticket, action);
    this.#schedule();
  }

  /** Resolves when everything appended so far is durable. Never settles after a failure. */
  flushed(): Promise<void> {
    return new Promise((resolve) => this.whenDurable(this.ticketOfLast, resolve));
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isRunning || this.#hasFailed) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#commit();
    });
  }

  async #commit(): Promise<void> {
    const ticket = this.#ticket++;
    const batch = this.#gathering;
    const bytes = this.#gatheredBytes;
    this.#gathering = [];
    this.#gatheredBytes = 0;
    this.#isRunning = true;
    try {
      const operations = batch.flatMap(({ operation }) => operation ?? []);
      if (operations.length > 0) await this.#store.commit(operations);
    } catch (error) {
      if (error instanceof StoreFull) return this.#full(ticket, batch);
      this.#hasFailed = true;
      return this.#events.onFailure(error);
    }
    this.#isRunning = false;
    this.#durable = ticket;
    for (const change of batch) change.operation = undefined;
    const isWaitedFor = this.#waiting.has(this.#ticket) || this.#deciding.has(this.#ticket);
    if (this.#gathering.length > 0 || isWaitedFor) this.#schedule();
    this.#events.onCommitted?.(bytes);
    for (const action of take(this.#waiting, ticket)) action();
    for (const action of take(this.#deciding, ticket)) action();
  }

  /** Nothing of the batch happened. What must happen comes first in the next one; who waits for it waits on. */
  #full(ticket: number, batch: readonly PendingChange[]): void {
    const kept = batch.filter(({ operation, owner }) => operation !== undefined && owner === undefined);
    this.#gathering = [...kept, ...this.#gathering];
    for (const { operation } of kept) if (operation !== undefined) this.#gatheredBytes += sizeOf(operation);
    const waiting = take(this.#waiting, ticket);
    const later = take(this.#waiting, this.#ticket);
    if (waiting.length + later.length > 0) this.#waiting.set(this.#ticket, [...waiting, ...later]);
    this.#remember(ticket);
    if (kept.length === 0) this.#durable = ticket;
    this.#refuse(batch);
    for (const action of take(this.#deciding, ticket)) action();
    const goOn = (): void => {
      this.#isRunning = false;
      if (this.#gathering.length > 0 || this.#waiting.has(this.#ticket)) this.#schedule();
    };
    this.#events.onFull?.(kept.length > 0 ? goOn : undefined);
    if (kept.length === 0 || this.#events.onFull === undefined) goOn();
  }

  #refuse(batch: readonly PendingChange[]): void {
    const places = new Map<ChangeOwner, Record<Refusal, MessagePlace[]>>();
    for (const { operation, owner, refusal } of batch) {
      if (operation?.kind !== 'put-message' || owner === undefined) continue;
      const theirs = places.get(owner) ?? { withdraw: [], keep: [] };
      theirs[refusal].push(operation.place);
      places.set(owner, theirs);
    }
    for (const [owner, { withdraw, keep }] of places) {
      if (withdraw.length > 0) owner.changesRefused(withdraw, 'withdraw');
      if (keep.length > 0) owner.changesRefused(keep, 'keep');
    }
  }

  #remember(ticket: number): void {
    this.#refused.add(ticket);
    if (this.#refused.size <= refusedTicketsMax) return;
    const [oldest] = this.#refused;
    if (oldest !== undefined) this.#refused.delete(oldest);
  }
}

/** Refused batches that are remembered: their confirms are told in the same turn of the event loop. */
const refusedTicketsMax = 1_024;
/** Bytes that a change costs besides its value, roughly. */
const overheadBytes = 64;

function sizeOf(operation: StoreOperation): number {
  const hasValue = operation.kind === 'put-message' || operation.kind === 'put-entity';
  return overheadBytes + (hasValue ? operation.value.length : 0);
}

function add(actions: Map<number, (() => void)[]>, ticket: number, action: () => void): void {
  const there = actions.get(ticket);
  if (there === undefined) actions.set(ticket, [action]);
  else there.push(action);
}

function take(actions: Map<number, (() => void)[]>, ticket: number): readonly (() => void)[] {
  const taken = actions.get(ticket) ?? [];
  actions.delete(ticket);
  return taken;
}
