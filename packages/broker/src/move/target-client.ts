import { connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { FrameReader, FrameWriter } from '@torcello/amqp091';
import type { Frame, Method, MethodName, MethodNamed, OutgoingMethod } from '@torcello/amqp091';
import type { Clock, Timer } from '@torcello/platform';
import { Heartbeat } from '../heartbeat.js';
import { TargetError } from './target-error.js';
import { tlsConnection } from './target-address.js';
import type { TargetAddress } from './target-address.js';

/** A message for the target, and where it goes. */
export interface TargetMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
}

/** What a client tells whoever opened it. */
export interface TargetAround {
  readonly clock: Clock;
  /** The target takes no publishes for this reason; undefined: it takes them again. */
  readonly onBlocked?: (reason: string | undefined) => void;
  /** Longest time that it may leave something unanswered, in milliseconds. Default: a minute. */
  readonly silentMsMax?: number;
}

const [connectionChannel, workChannel] = [0, 1];
const frameSizeBytesMax = 128 * 1024;
const heartbeatSMax = 60;
const noReply = 0;
const silentMsMaxDefault = 60_000;
const flushBytes = 64 * 1024;

interface Expected {
  readonly name: MethodName;
  readonly resolve: (method: Method) => void;
  readonly reject: (error: Error) => void;
}

interface Watch {
  readonly isTrue: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * The little of a client that a move needs, on the broker's own codec: one connection with one channel that confirms.
 * Any refusal ends it, and everything that waits rejects with a `TargetError`; so does silence.
 */
export class TargetClient {
  /** Deliveries that came, those that were fetched one by one included, and fetches that found nothing. */
  deliveries = 0;
  emptyGets = 0;
  /** The target has taken responsibility for this publish, or with `isMultiple` for all up to it. */
  onConfirmed: (tag: number, isMultiple: boolean) => void = () => undefined;
  readonly #socket: Socket;
  readonly #around: TargetAround;
  readonly #reader = new FrameReader({ role: 'client', frameSizeBytesMax });
  readonly #writer = new FrameWriter({ frameSizeBytesMax });
  readonly #expected: Expected[] = [];
  #watch: Watch | undefined;
  #tagLast = 0;
  #heartbeat: Heartbeat | undefined;
  #silenceTimer: Timer | undefined;
  #blocked: string | undefined;
  #readAtMs: number;
  #writtenAtMs: number;
  #answeredAtMs: number;
  #error: TargetError | undefined;

  private constructor(socket: Socket, around: TargetAround) {
    this.#socket = socket;
    this.#around = around;
    this.#readAtMs = this.#writtenAtMs = this.#answeredAtMs = around.clock.monotonicMs();
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(socketError(error)));
    socket.on('close', () => this.#fail(new TargetError(noReply, 'the connection is closed')));
    this.#watchSilence();
  }

  /** Logs in and opens a confirming channel. @throws TargetError. */
  static async open(at: TargetAddress, around: TargetAround): Promise<TargetClient> {
    const { host, port, user, password, vhost } = at;
    const socket = at.tls === undefined ? connectPlain({ host, port }) : connectTls(tlsConnection(at));
    socket.setNoDelay(true);
    const client = new TargetClient(socket, around);
    const started = client.#expect('connection.start');
    client.#writer.protocolHeader();
    client.flush();
    await started;
    const response = Buffer.from(`\0${user}\0${password}`);
    const capabilities = {
      authentication_failure_close: true,
      publisher_confirms: true,
      consumer_cancel_notify: true,
      'connection.blocked': true,
    };
    const clientProperties = { product: 'torcello-broker', connection_name: 'torcello-broker move', capabilities };
    const startOk = { name: 'connection.start-ok', clientProperties, mechanism: 'PLAIN', response } as const;
    const tune = await client
      .call({ ...startOk, locale: 'en_US' }, 'connection.tune', connectionChannel)
      .catch(toldOf(`user '${user}'`, loginCures));
    client.#tune(tune);
    await client
      .call({ name: 'connection.open', virtualHost: vhost }, 'connection.open-ok', connectionChannel)
      .catch(toldOf(`vhost '${vhost}'`, entryCures));
    await client.call({ name: 'channel.open' }, 'channel.open-ok');
    await client.call({ name: 'confirm.select' }, 'confirm.select-ok');
    return client;
  }

  /** Sends a method and waits for its answer. Several may wait: answers come in order. @throws TargetError. */
  async call<N extends MethodName>(
    method: OutgoingMethod,
    answer: N,
    at: number = workChannel,
  ): Promise<MethodNamed<N>> {
    const answered = this.#expect(answer);
    this.send(method, at);
    return (await answered) as Method as MethodNamed<N>;
  }

  /** Sends a method that nobody answers, or whose answers are counted. */
  send(method: OutgoingMethod, at: number = workChannel): void {
    this.#writer.method(at, method);
    this.flush();
  }

  /** Publishes a message, mandatory, at the latest with the next `flush`; gives its tag for `onConfirmed`. @throws TargetError. */
  publish({ exchange, routingKey, properties, body }: TargetMessage): number {
    if (this.#error !== undefined) throw this.#error;
    const method = { name: 'basic.publish', exchange, routingKey, mandatory: true } as const;
    this.#writer.content(workChannel, method, { properties, body });
    if (this.#writer.byteLength > flushBytes) this.flush();
    return ++this.#tagLast;
  }

  flush(): void {
    if (this.#error !== undefined || this.#writer.byteLength === 0) return;
    this.#writtenAtMs = this.#around.clock.monotonicMs();
    this.#socket.cork();
    for (const chunk of this.#writer.take()) this.#socket.write(chunk);
    this.#socket.uncork();
  }

  /** Resolves when `isTrue` is, which is asked when something has come, and by `look`. One at a time. @throws TargetError. */
  until(isTrue: () => boolean): Promise<void> {
    this.flush();
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (isTrue()) return Promise.resolve();
    this.#answeredAtMs = this.#around.clock.monotonicMs();
    return new Promise((resolve, reject) => (this.#watch = { isTrue, resolve, reject }));
  }

  look(): void {
    const watch = this.#watch;
    if (watch === undefined || !watch.isTrue()) return;
    this.#watch = undefined;
    watch.resolve();
  }

  async close(): Promise<void> {
    if (this.#error !== undefined) return;
    const close = { name: 'connection.close', replyCode: 200, replyText: 'moved', classId: 0, methodId: 0 } as const;
    await this.call(close, 'connection.close-ok', connectionChannel).catch(() => undefined);
    this.destroy();
  }

  /** Lets go of everything at once. */
  destroy(): void {
    this.#fail(new TargetError(noReply, 'the connection was given up'));
  }

  #tune({ channelMax, frameMax, heartbeat }: MethodNamed<'connection.tune'>): void {
    const agreedFrame = frameMax === 0 ? frameSizeBytesMax : Math.min(frameMax, frameSizeBytesMax);
    const agreedS = heartbeat === 0 ? heartbeatSMax : Math.min(heartbeat, heartbeatSMax);
    const tuneOk = { name: 'connection.tune-ok', channelMax, frameMax: agreedFrame, heartbeat: agreedS } as const;
    this.send(tuneOk, connectionChannel);
    this.#writer.frameSizeBytesMax = agreedFrame;
    const interval = { agreedMs: agreedS * 1000, leastMs: 0 };
    this.#heartbeat = new Heartbeat(this.#around.clock, interval, {
      readAtMs: () => this.#readAtMs,
      writtenAtMs: () => this.#writtenAtMs,
      sendHeartbeat: () => {
        this.#writer.heartbeat();
        this.flush();
      },
      onSilence: () => this.#fail(new TargetError(noReply, 'nothing came from it, no heartbeat either')),
    });
  }

  #expect(name: MethodName): Promise<Method> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    this.#answeredAtMs = this.#around.clock.monotonicMs();
    return new Promise((resolve, reject) => this.#expected.push({ name, resolve, reject }));
  }

  /** A target that answers heartbeats and nothing else would be waited for for ever. */
  #watchSilence(): void {
    const { clock, silentMsMax = silentMsMaxDefault } = this.#around;
    this.#silenceTimer = clock.after(silentMsMax / 10, () => {
      const isWaitedFor = this.#expected.length > 0 || this.#watch !== undefined;
      if (!isWaitedFor || clock.monotonicMs() - this.#answeredAtMs < silentMsMax) return this.#watchSilence();
      const seconds = Math.round(silentMsMax / 1000);
      const text =
        this.#blocked === undefined
          ? `nothing, for ${seconds} s; are all of its nodes up?`
          : `it has taken no publishes for ${seconds} s: ${this.#blocked}; make room there`;
      this.#fail(new TargetError(noReply, text));
    });
  }

  #receive(chunk: Buffer): void {
    this.#readAtMs = this.#around.clock.monotonicMs();
    try {
      this.#reader.push(chunk);
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) this.#handle(frame);
    } catch (error) {
      if (error instanceof TargetError) return this.#fail(error);
      const isGreeting = this.#expected[0]?.name === 'connection.start';
      const text = error instanceof Error ? error.message : String(error);
      return this.#fail(new TargetError(noReply, text, isGreeting ? plainCure : undefined));
    }
    this.look();
  }

  #handle(frame: Frame): void {
    if (frame.type === 'protocolHeader') throw new TargetError(noReply, 'it speaks another version of AMQP');
    if (frame.type !== 'method') return;
    this.#answeredAtMs = this.#readAtMs;
    const { method } = frame;
    switch (method.name) {
      case 'channel.close':
      case 'connection.close':
        throw new TargetError(method.replyCode, method.replyText);
      case 'basic.return':
        throw new TargetError(method.replyCode, `${method.replyText} for '${method.routingKey}'`);
      case 'basic.nack':
        throw new TargetError(noReply, 'a message was refused (basic.nack)', refusedCure);
      case 'basic.cancel':
        throw new TargetError(noReply, 'a queue went away (basic.cancel)');
      case 'basic.ack':
        return this.onConfirmed(method.deliveryTag, method.multiple);
      case 'basic.deliver':
      case 'basic.get-ok':
        this.deliveries++;
        return;
      case 'basic.get-empty':
        this.emptyGets++;
        return;
      case 'connection.blocked':
        return this.#setBlocked(method.reason);
      case 'connection.unblocked':
        return this.#setBlocked(undefined);
      default:
        if (method.name === this.#expected[0]?.name) this.#expected.shift()?.resolve(method);
    }
  }

  #setBlocked(reason: string | undefined): void {
    this.#blocked = reason;
    this.#around.onBlocked?.(reason);
  }

  #fail(error: TargetError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#heartbeat?.stop();
    this.#silenceTimer?.cancel();
    for (const { reject } of this.#expected.splice(0)) reject(error);
    this.#watch?.reject(error);
    this.#watch = undefined;
    this.#socket.destroy();
  }
}

const refusedCure =
  'a queue there is full, or lies on a node that went down, or did not survive its end: see to it, or delete it there';
const plainCure = 'is it an AMQP port? One that speaks TLS needs amqps://';
const certificateCure =
  'name its authority by ?ssl_ca_file=FILE, or another name in its certificate by ssl_server_name=NAME';
/** What to do, by the code of a failed connection. */
const socketCures: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there: check host and port, and that it runs',
  ENOTFOUND: 'check the name of the host',
  EPROTO: 'does that port speak TLS? One that does not needs amqp://',
  SELF_SIGNED_CERT_IN_CHAIN: certificateCure,
  DEPTH_ZERO_SELF_SIGNED_CERT: certificateCure,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: certificateCure,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: certificateCure,
  ERR_TLS_CERT_ALTNAME_INVALID: certificateCure,
};

function socketError(error: NodeJS.ErrnoException): TargetError {
  const [line = ''] = error.message.trim().split('\n');
  return new TargetError(noReply, line, socketCures[error.code ?? '']);
}

const loginCures: Readonly<Record<number, string>> = { 403: 'check user and password of --to' };
const [make, allow] = ['rabbitmqctl add_vhost VHOST', 'rabbitmqctl set_permissions -p VHOST USER ".*" ".*" ".*"'];
const entryCures: Readonly<Record<number, string>> = { 530: `make it, and let the user in: ${make}; ${allow}` };

function toldOf(what: string, cures: Readonly<Record<number, string>>): (error: unknown) => never {
  return (error) => {
    throw error instanceof TargetError ? error.about(what, cures[error.code]) : error;
  };
}
