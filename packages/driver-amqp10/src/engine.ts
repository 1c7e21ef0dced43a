import type { Duplex } from 'node:stream';
import { hexId, type Clock, type Random, type Timer } from '@torcello/platform';
import { MessagingError } from '@torcello/messaging';
import rhea, { type Connection, type Session } from 'rhea';
import { closedByUs, conditionOf, connectionLost } from './errors.js';
import { driverLimits } from './limits.js';
import { oneWriteATurn } from './one-write-a-turn.js';
import type { Amqp10Host, LoginMethod } from './settings.js';

export interface EngineOptions {
  readonly host: Amqp10Host;
  readonly login: LoginMethod;
  /** As Open names it. */
  readonly hostname: string;
  readonly idleTimeoutMs: number;
  readonly frameSizeBytesMax: number;
  readonly connectionName: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** What the peer said of itself. */
export interface Peer {
  readonly product: string;
  readonly version: string;
}

/** One AMQP 1.0 connection over a byte stream that is open already. It never reconnects by itself. */
export class Engine {
  /** Settles once, when the connection is over: undefined after `close`. */
  readonly closed: Promise<MessagingError | undefined>;
  readonly #stream: Duplex;
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #opened: Promise<void>;
  #settleOpened: { readonly resolve: () => void; readonly reject: (error: MessagingError) => void } | undefined;
  #settleClosed: (reason: MessagingError | undefined) => void = () => undefined;
  #state: 'opening' | 'open' | 'closing' | 'over' = 'opening';
  #end: MessagingError | undefined;
  #refusal: MessagingError | undefined;

  constructor(stream: Duplex, options: EngineOptions) {
    this.#stream = oneWriteATurn(stream);
    this.#clock = options.clock;
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve));
    this.#opened = new Promise((resolve, reject) => (this.#settleOpened = { resolve, reject }));
    this.#opened.catch(() => undefined);
    const container = rhea.create_container({ id: containerId(options) });
    // Whatever nobody listens to would be thrown; links and sessions are listened to where they are made.
    container.on('error', () => undefined);
    this.#connection = container.create_connection(engineOptions(stream, options) as never);
    this.#listen();
    this.#connection.connect();
  }

  /** Resolves when the peer has opened. @throws LOGIN_REFUSED, CONNECTION_LOST. */
  async open(): Promise<Peer> {
    await this.#opened;
    const properties = (this.#connection.properties ?? {}) as Readonly<Record<string, unknown>>;
    const text = (name: string): string => (typeof properties[name] === 'string' ? properties[name] : '');
    return { product: text('product'), version: text('version') };
  }

  /** Why it is over, or undefined. */
  get end(): MessagingError | undefined {
    return this.#end;
  }

  /** A session of its own for each link: one unsettled delivery must not hold up the others. */
  newSession(): Session {
    if (this.#end !== undefined) throw this.#end;
    const session = this.#connection.create_session();
    session.begin();
    return session;
  }

  /** Ends it at once. */
  lose(reason: MessagingError): void {
    if (this.#state === 'over') return;
    this.#conclude(this.#state === 'closing' ? undefined : reason);
    this.#stream.destroy();
  }

  async close(): Promise<void> {
    if (this.#state === 'opening' || this.#state === 'open') {
      this.#state = 'closing';
      this.#connection.close();
      const timer: Timer = this.#clock.after(driverLimits.closeReplyMs, () => this.lose(closedByUs()));
      await this.closed;
      timer.cancel();
    }
    await this.closed;
  }

  #listen(): void {
    const connection = this.#connection;
    connection.on('connection_open', () => this.#onOpen());
    connection.on('connection_error', (context) => this.#onRefusal(context.error ?? connection.error));
    connection.on('connection_close', () => this.#onPeerClose());
    connection.on('disconnected', (context) =>
      this.lose(this.#refusal ?? connectionLost('the stream ended', context.error)),
    );
    connection.on('protocol_error', (error: unknown) => this.lose(broken(error)));
    connection.on('error', (error: unknown) => this.lose(broken(error)));
    // Links and sessions tell their owners; what comes too late for them ends here.
    for (const name of [
      'session_error',
      'session_close',
      'sender_error',
      'sender_close',
      'receiver_error',
      'receiver_close',
    ]) {
      connection.on(name as never, () => undefined);
    }
    this.#stream.once('close', () => {
      this.lose(this.#refusal ?? connectionLost('the stream was closed'));
      // The engine only stops its timers when it hears of the end, and a destroyed stream tells nobody else.
      if (!this.#stream.readableEnded) this.#stream.emit('end');
    });
  }

  #onOpen(): void {
    if (this.#state !== 'opening') return;
    this.#state = 'open';
    this.#settleOpened?.resolve();
  }

  /** The peer's reason; the end of the stream follows. */
  #onRefusal(error: unknown): void {
    const condition = conditionOf(error);
    const isLogin = this.#state === 'opening' && condition?.condition === 'amqp:unauthorized-access';
    const said = condition === undefined ? String(error) : `${condition.condition} ${condition.description}`;
    this.#refusal = isLogin
      ? new MessagingError('LOGIN_REFUSED', `the broker refused the login: ${said}`, { cause: error })
      : connectionLost(`the broker closed it: ${said}`, error);
    this.lose(this.#refusal);
  }

  #onPeerClose(): void {
    this.lose(this.#refusal ?? connectionLost('the broker closed it'));
  }

  #conclude(reason: MessagingError | undefined): void {
    this.#state = 'over';
    this.#end = reason ?? closedByUs();
    this.#settleOpened?.reject(this.#end);
    this.#settleClosed(reason);
  }
}

function engineOptions(stream: Duplex, options: EngineOptions): Readonly<Record<string, unknown>> {
  const { host, port } = options.host;
  return {
    connection_details: () => ({
      host,
      port,
      connect: (_port: number, _host: string, _options: unknown, onConnected: () => void): Duplex => {
        queueMicrotask(onConnected);
        return stream;
      },
    }),
    host,
    hostname: options.hostname,
    reconnect: false,
    ...(options.idleTimeoutMs === 0 ? {} : { idle_time_out: options.idleTimeoutMs }),
    max_frame_size: options.frameSizeBytesMax,
    channel_max: driverLimits.sessionsMax - 1,
    treat_modified_as_released: false,
    ...(options.login === 'none' ? {} : { sasl_mechanisms: mechanisms(options.login, options.host) }),
    properties: {
      product: 'torcello',
      ...(options.connectionName === undefined ? {} : { connection_name: options.connectionName }),
    },
  };
}

function mechanisms(login: Exclude<LoginMethod, 'none'>, { username = '', password }: Amqp10Host): unknown {
  const offered = (
    rhea.sasl as unknown as {
      client_mechanisms: () => {
        enable_plain: (username: string, password: string) => void;
        enable_anonymous: (name: string) => void;
        enable_external: () => void;
      };
    }
  ).client_mechanisms();
  if (login === 'PLAIN') offered.enable_plain(username, password);
  else if (login === 'EXTERNAL') offered.enable_external();
  else offered.enable_anonymous('anonymous');
  return offered;
}

function containerId({ connectionName, random }: EngineOptions): string {
  return `torcello/${connectionName ?? 'program'}/${hexId(random)}`;
}

function broken(cause: unknown): MessagingError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new MessagingError('PROTOCOL_ERROR', `the broker broke the protocol: ${why}`, { cause });
}
