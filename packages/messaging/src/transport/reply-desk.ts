import type { AbortSignalLike } from '../abort.js';
import { hexId, type Logger, type Random } from '@torcello/platform';
import type { DriverConnection, IncomingMessage } from '../driver.js';
import { isMessagingError, type MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { orAborted } from './deadline.js';
import { IdTable } from './id-table.js';
import type { Reply } from '../wire/reply.js';
import type { Wire } from '../wire/wire.js';
import { wireOf } from '../wire/wires.js';

/** Who waits for the answer to one call. */
export interface ReplyWaiter {
  /** Called for the answer, and before it for every sign of life. */
  onReply(reply: Reply): void;
  /** No answer can come any more. */
  onEnd(error: MessagingError): void;
}

/**
 * The one place where answers to a transport's calls arrive: a queue with a name of its own, opened at the first call,
 * kept by name over reconnects, and a table of who waits for which answer. Late and unknown answers are dropped.
 */
export class ReplyDesk {
  readonly #name: string;
  readonly #connection: (signal: AbortSignalLike) => Promise<DriverConnection>;
  readonly #current: () => DriverConnection | undefined;
  readonly #logger: Logger;
  readonly #waiters = new IdTable<ReplyWaiter>();
  #opening: Promise<string> | undefined;
  #openOn: DriverConnection | undefined;
  /** Set while the queue is open on `#openOn`. */
  #address: string | undefined;

  constructor(options: {
    readonly random: Random;
    readonly logger: Logger;
    readonly connection: (signal: AbortSignalLike) => Promise<DriverConnection>;
    /** The connection that stands, if there is one. */
    readonly current: () => DriverConnection | undefined;
  }) {
    this.#connection = options.connection;
    this.#current = options.current;
    this.#name = `reply_${hexId(options.random)}`;
    this.#logger = options.logger;
  }

  /** What `address` would resolve with at once; undefined while it would have to wait. */
  get openAddress(): string | undefined {
    return this.#openOn === this.#current() ? this.#address : undefined;
  }

  /** Where answers are sent to; it is open when this resolves. @throws ABORTED, CLOSED, or what the driver says. */
  async address(signal: AbortSignalLike): Promise<string> {
    for (;;) {
      const connection = await this.#connection(signal);
      try {
        return await orAborted(this.#openOnce(connection), signal);
      } catch (error) {
        if (!isMessagingError(error, 'CONNECTION_LOST')) throw error;
        await orAborted(connection.closed, signal);
      }
    }
  }

  /** After a reconnect: opens the queue again, if it ever was. */
  async restore(connection: DriverConnection): Promise<void> {
    if (this.#opening !== undefined) await this.#openOnce(connection);
  }

  /** Registers who waits for the answers to a message; the answer of this function ends that. */
  expect(messageId: string, waiter: ReplyWaiter): () => void {
    this.#waiters.set(messageId, waiter);
    return () => void this.#waiters.delete(messageId);
  }

  /** Tells everybody that no answer will come. */
  end(error: MessagingError): void {
    const waiters = this.#waiters.values();
    this.#waiters.clear();
    for (const waiter of waiters) waiter.onEnd(error);
  }

  #openOnce(connection: DriverConnection): Promise<string> {
    if (this.#openOn !== connection || this.#opening === undefined) {
      this.#openOn = connection;
      this.#address = undefined;
      this.#opening = this.#open(connection);
    }
    return this.#opening;
  }

  async #open(connection: DriverConnection): Promise<string> {
    const wire = wireOf(connection);
    const onMessage = (message: IncomingMessage): void => this.#onMessage(message, wire);
    try {
      const { routingKey } = await connection.openReplies(this.#name, limits.transientQueueMs, onMessage);
      if (this.#openOn === connection) this.#address = routingKey;
      return routingKey;
    } catch (error) {
      this.#openOn = this.#address = undefined;
      throw error;
    }
  }

  #onMessage(message: IncomingMessage, wire: Wire): void {
    try {
      const reply = wire.readReply(message);
      this.#waiters.get(reply.messageId)?.onReply(reply);
    } catch (error) {
      this.#logger.warn('an answer could not be read and was dropped', { error });
    }
  }
}
