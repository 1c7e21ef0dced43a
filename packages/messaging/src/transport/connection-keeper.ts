import type { AbortSignalLike } from '../abort.js';
import { sleep, type Clock, type Logger, type Random } from '@torcello/platform';
import type { DriverConnection } from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { Backoff } from './backoff.js';
import { abortedError, orAborted } from './deadline.js';
import { ownController } from './own-signal.js';
import type { TransportState } from './transport.js';

export interface KeeperSetting {
  readonly dial: (signal: AbortSignal) => Promise<DriverConnection>;
  /** Rebuilds on a new connection what the program relies on, before anybody else gets to use it. */
  readonly restore: (connection: DriverConnection) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface Waiter {
  readonly resolve: (connection: DriverConnection) => void;
  readonly reject: (error: MessagingError) => void;
}

/** Keeps one connection standing: dials, restores, hands it to whoever waits, and starts over when it is lost. */
export class ConnectionKeeper {
  readonly #setting: KeeperSetting;
  readonly #backoff: Backoff;
  readonly #stopping = ownController();
  readonly #waiters = new Set<Waiter>();
  readonly #listeners = new Set<(state: TransportState) => void>();
  #state: TransportState = 'connecting';
  #current: DriverConnection | undefined;
  #latest: DriverConnection | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(setting: KeeperSetting) {
    this.#setting = setting;
    this.#backoff = new Backoff(setting.random);
  }

  get state(): TransportState {
    return this.#state;
  }

  /** The standing connection, if there is one. */
  get current(): DriverConnection | undefined {
    return this.#current;
  }

  /** The connection that was up last, also after its loss. */
  get latest(): DriverConnection | undefined {
    return this.#latest;
  }

  onState(listener: (state: TransportState) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Dials until the first connection stands.
   * @throws what cannot be mended by trying again, and ABORTED.
   */
  async start(signal: AbortSignal | undefined, accept: (connection: DriverConnection) => void): Promise<void> {
    const ending = signal === undefined ? this.#stopping.signal : AbortSignal.any([this.#stopping.signal, signal]);
    for (;;) {
      const connection = await this.#tryDial(ending, (error) => isMessagingError(error) && !error.retryable);
      if (connection === undefined) continue;
      try {
        accept(connection);
      } catch (error) {
        await connection.close();
        throw error;
      }
      this.#running = this.#keep(connection);
      return;
    }
  }

  /** The standing connection, or the next one. @throws ABORTED, CLOSED. */
  async connection(signal?: AbortSignalLike): Promise<DriverConnection> {
    if (this.#current !== undefined) return this.#current;
    if (this.#state === 'closed') throw closedError();
    if (signal?.aborted === true) throw abortedError(signal);
    let waiter: Waiter | undefined;
    const next = new Promise<DriverConnection>((resolve, reject) => {
      waiter = { resolve, reject };
      this.#waiters.add(waiter);
    });
    try {
      return await (signal === undefined ? next : orAborted(next, signal));
    } finally {
      if (waiter !== undefined) this.#waiters.delete(waiter);
    }
  }

  async close(): Promise<void> {
    this.#change('closed');
    this.#stopping.abort();
    for (const waiter of this.#waiters) waiter.reject(closedError());
    await this.#latest?.close();
    await this.#running;
  }

  async #keep(first: DriverConnection): Promise<void> {
    for (let next: DriverConnection | undefined = first; this.#state !== 'closed'; next = await this.#redial()) {
      if (next !== undefined) await this.#use(next);
    }
  }

  /** Serves one connection until it is over. */
  async #use(connection: DriverConnection): Promise<void> {
    const { clock, logger, restore } = this.#setting;
    this.#latest = connection;
    connection.onBlocked((isBlocked) => this.#onBlocked(connection, isBlocked));
    try {
      await Promise.race([restore(connection), connection.closed]);
    } catch (error) {
      logger.warn('restoring after a reconnect failed', { error });
    }
    if (this.#stopping.signal.aborted) return connection.close();
    const sinceMs = clock.monotonicMs();
    this.#current = connection;
    this.#change(connection.isBlocked ? 'blocked' : 'connected');
    for (const waiter of this.#waiters) waiter.resolve(connection);
    const reason = await connection.closed;
    this.#current = undefined;
    if (this.#stopping.signal.aborted) return;
    // A broker that accepts and drops at once must not be asked again at once.
    if (clock.monotonicMs() - sinceMs >= limits.retryDelayMsMax) this.#backoff.reset();
    this.#change('connecting');
    logger.warn('the connection to the broker was lost', { error: reason });
    await this.#pause();
  }

  async #redial(): Promise<DriverConnection | undefined> {
    if (this.#stopping.signal.aborted) return undefined;
    return this.#tryDial(this.#stopping.signal, () => false).catch(() => undefined);
  }

  /** One attempt; after a failure that is not fatal it has waited and answers undefined. */
  async #tryDial(signal: AbortSignal, isFatal: (error: unknown) => boolean): Promise<DriverConnection | undefined> {
    if (signal.aborted) throw abortedError(signal);
    try {
      return await this.#setting.dial(signal);
    } catch (error) {
      if (signal.aborted) throw abortedError(signal);
      if (isFatal(error)) throw error;
      this.#setting.logger.warn('cannot connect to the broker, trying again', { error });
      await this.#pause(signal);
      return undefined;
    }
  }

  async #pause(signal: AbortSignal = this.#stopping.signal): Promise<void> {
    await sleep(this.#setting.clock, this.#backoff.nextMs(), signal).catch(() => undefined);
  }

  #onBlocked(connection: DriverConnection, isBlocked: boolean): void {
    if (this.#current === connection) this.#change(isBlocked ? 'blocked' : 'connected');
  }

  #change(state: TransportState): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}

export function closedError(): MessagingError {
  return new MessagingError('CLOSED', 'the transport was closed by this program');
}
