import type { MessageStore, StoreOperation } from './message-store.js';

/** A change that has not reached the store yet and may still be taken back. */
export interface PendingChange {
  /** The batch that carries it; see `CommitLog.whenDurable`. */
  readonly ticket: number;
  operation: StoreOperation | undefined;
}

/**
 * Group commit: gathers changes while a commit runs and hands them to the store as the next one. Batches are numbered
 * by tickets and become durable in that order. The first failed commit ends the broker: `onFailure` is called once and
 * no ticket becomes durable any more.
 */
export class CommitLog {
  readonly #store: MessageStore;
  readonly #onFailure: (error: unknown) => void;
  #gathering: PendingChange[] = [];
  #gatheredBytes = 0;
  #isRunning = false;
  #isScheduled = false;
  #hasFailed = false;
  #ticket = 1;
  #durable = 0;
  readonly #waiting = new Map<number, (() => void)[]>();

  constructor(store: MessageStore, onFailure: (error: unknown) => void) {
    this.#store = store;
    this.#onFailure = onFailure;
  }

  /** Every batch up to this ticket is durable. */
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

  /** Takes a change into the batch that is being gathered. */
  append(operation: StoreOperation): PendingChange {
    const change = { ticket: this.#ticket, operation };
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
    const actions = this.#waiting.get(ticket);
    if (actions === undefined) this.#waiting.set(ticket, [action]);
    else actions.push(action);
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
    this.#gathering = [];
    this.#gatheredBytes = 0;
    this.#isRunning = true;
    try {
      const operations = batch.flatMap(({ operation }) => operation ?? []);
      if (operations.length > 0) await this.#store.commit(operations);
    } catch (error) {
      this.#hasFailed = true;
      return this.#onFailure(error);
    }
    this.#isRunning = false;
    this.#durable = ticket;
    if (this.#gathering.length > 0 || this.#waiting.has(this.#ticket)) this.#schedule();
    const actions = this.#waiting.get(ticket) ?? [];
    this.#waiting.delete(ticket);
    for (const action of actions) action();
  }
}

/** Bytes that a change costs besides its value, roughly. */
const overheadBytes = 64;

function sizeOf(operation: StoreOperation): number {
  const hasValue = operation.kind === 'put-message' || operation.kind === 'put-entity';
  return overheadBytes + (hasValue ? operation.value.length : 0);
}
