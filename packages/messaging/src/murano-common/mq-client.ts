import { sleep, systemClock, type Clock } from '@torcello/platform';
import type { Driver } from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';
import { connect } from '../transport/connect.js';
import type { OperationOptions, Transport, TransportOptions } from '../transport/transport.js';
import { stringifyJson } from '../wire/json.js';
import { MqSubscription } from './mq-subscription.js';

export interface MqClientOptions {
  readonly login: string;
  readonly password: string;
  readonly host: string;
  readonly port: number;
  readonly virtualHost: string;
  /** Default false. The broker's certificate and name are verified, which the wrapper did only with `ca_certs`, and half. */
  readonly ssl?: boolean;
  /** A PEM file of the authorities to trust. */
  readonly caCerts?: string;
  /** What makes the connection, as `amqp091Driver()`. */
  readonly drivers: readonly Driver[];
  /** The rest of the transport's options: clock, network, logger, … */
  readonly transport?: Partial<Omit<TransportOptions, 'drivers' | 'signal'>>;
}

export interface MqDeclaration {
  /** An exchange that leads to the queue by the queue's name. */
  readonly exchange?: string;
  /** The idle time after which the queue goes, with what is in it. Default: it stays. */
  readonly ttlMs?: number;
}

export interface MqMessage {
  readonly id?: string;
  /** Anything that JSON can say. */
  readonly body: unknown;
}

const connectTimeoutMs = 10_000;

/**
 * The calls of `muranocommon.messaging.MqClient`, for programs that were built on it. What failed in silence there is an
 * error here: not being connected, a send that nobody confirmed, a message to a queue that is not there, an unreadable body.
 */
export class MqClient implements AsyncDisposable {
  readonly #options: MqClientOptions;
  readonly #clock: Clock;
  #transport: Transport | undefined;

  constructor(options: MqClientOptions) {
    this.#options = options;
    this.#clock = options.transport?.clock ?? systemClock;
  }

  /** @throws TIMEOUT when the broker cannot be reached in time (default 10 s); LOGIN_REFUSED; INVALID_URL. */
  async connect(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.#transport !== undefined) return;
    const timeoutMs = options.timeoutMs ?? connectTimeoutMs;
    const [patience, isDone] = [new AbortController(), new AbortController()];
    const timing = sleep(this.#clock, timeoutMs, isDone.signal).then(
      () => patience.abort(),
      () => undefined,
    );
    const { drivers, transport = {} } = this.#options;
    try {
      this.#transport = await connect(urlOf(this.#options), { ...transport, drivers, signal: patience.signal });
    } catch (cause) {
      if (!isMessagingError(cause, 'ABORTED')) throw cause;
      throw new MessagingError('TIMEOUT', `no connection within ${timeoutMs} ms`, { cause, details: { timeoutMs } });
    } finally {
      isDone.abort();
      await timing;
    }
  }

  /** Flushes what was sent, gives back what was not acknowledged, disconnects. Safe to call twice. */
  async close(): Promise<void> {
    const transport = this.#transport;
    this.#transport = undefined;
    await transport?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Makes a durable queue, and again after every reconnect. @throws PRECONDITION_FAILED where another stands. */
  async declare(queue: string, declaration: MqDeclaration = {}): Promise<void> {
    const { exchange, ttlMs } = declaration;
    await this.#connected().ensure({
      kind: 'mailbox',
      source: { queue },
      reachedBy: exchange === undefined ? [] : [{ exchange, routingKey: queue }],
      options: ttlMs === undefined ? {} : { expiresMs: ttlMs },
    });
  }

  /**
   * Sends a message as JSON; resolves when the broker has it on its disk. The id stands where both versions of the wrapper
   * look for it.
   * @throws UNROUTABLE when no queue takes it; TIMEOUT, with `details.mayArrive`; NOT_CONFIRMED; CONNECTION_LOST.
   */
  async send(
    message: MqMessage,
    to: OperationOptions & { readonly key: string; readonly exchange?: string },
  ): Promise<void> {
    const { key, exchange = '', ...options } = to;
    const { id, body } = message;
    const outgoing = {
      body: Buffer.from(stringifyJson(body), 'utf8'),
      properties: { contentType: 'application/json', ...(id === undefined ? {} : { messageId: id }) },
      headers: id === undefined ? {} : { message_id: id },
      persistent: true,
      ifNobody: 'fail',
    } as const;
    await this.#connected().publish({ exchange, routingKey: key }, outgoing, options);
  }

  /** Begins to read a queue. @throws NOT_FOUND, ACCESS_REFUSED. */
  open(queue: string, options: { readonly prefetchCount?: number } = {}): Promise<MqSubscription> {
    return MqSubscription.open(this.#connected(), { queue, prefetchCount: options.prefetchCount ?? 1 });
  }

  #connected(): Transport {
    if (this.#transport === undefined) throw new MessagingError('CLOSED', 'connect() comes first');
    return this.#transport;
  }
}

/** Classic queues: what the wrapper declared, so that both can use one queue. */
function urlOf({ login, password, host, port, virtualHost, ssl = false, caCerts }: MqClientOptions): string {
  const credentials = `${encodeURIComponent(login)}:${encodeURIComponent(password)}`;
  const authority = caCerts === undefined ? '' : `&ssl_ca_file=${encodeURIComponent(caCerts)}`;
  const scheme = ssl ? 'amqps' : 'amqp';
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return `${scheme}://${credentials}@${address}/${encodeURIComponent(virtualHost)}?queue_type=classic${authority}`;
}
