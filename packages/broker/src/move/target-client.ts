import { connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { FrameReader, FrameWriter } from '@torcello/amqp091';
import type { Frame, Method, MethodName, MethodNamed, OutgoingMethod } from '@torcello/amqp091';

/** Where a move goes to. */
export interface TargetAddress {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
}

/** A message for the target, and where it goes. */
export interface TargetMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
}

/** The target refused something, or went away. */
export class TargetError extends Error {
  readonly code: number;

  constructor(code: number, text: string) {
    super(`the target says: ${text} (${code})`);
    this.name = 'TargetError';
    this.code = code;
  }
}

const channel = 1;
const frameSizeBytesMax = 128 * 1024;
const noReply = 0;

interface Expected {
  readonly name: MethodName;
  readonly resolve: (method: Method) => void;
  readonly reject: (error: Error) => void;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * The little of a client that a move needs, on the broker's own codec: one connection with one channel that confirms.
 * Any refusal ends it, and everything that waits rejects with a `TargetError`.
 */
export class TargetClient {
  readonly #socket: Socket;
  readonly #reader = new FrameReader({ role: 'client', frameSizeBytesMax });
  readonly #writer = new FrameWriter({ frameSizeBytesMax });
  #expected: Expected | undefined;
  #confirms: Waiting | undefined;
  readonly #unconfirmed = new Set<number>();
  #tagLast = 0;
  #deliveries: (Waiting & { left: number }) | undefined;
  #error: TargetError | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(new TargetError(noReply, error.message)));
    socket.on('close', () => this.#fail(new TargetError(noReply, 'the connection is closed')));
  }

  /** Logs in and opens a confirming channel. @throws TargetError. */
  static async open(at: TargetAddress): Promise<TargetClient> {
    const { host, port, user, password, vhost } = at;
    const socket = at.isTls ? connectTls({ host, port, servername: host }) : connectPlain({ host, port });
    socket.setNoDelay(true);
    const client = new TargetClient(socket);
    const started = client.#expect('connection.start');
    client.#writer.protocolHeader();
    client.#flush();
    await started;
    const response = Buffer.from(`\0${user}\0${password}`);
    const capabilities = { authentication_failure_close: true, publisher_confirms: true };
    const clientProperties = { product: 'torcello-broker', connection_name: 'torcello-broker move', capabilities };
    const tune = await client.call(
      { name: 'connection.start-ok', clientProperties, mechanism: 'PLAIN', response, locale: 'en_US' },
      'connection.tune',
      0,
    );
    client.#send(0, {
      name: 'connection.tune-ok',
      channelMax: tune.channelMax,
      frameMax: frameSizeBytesMax,
      heartbeat: 0,
    });
    await client.call({ name: 'connection.open', virtualHost: vhost }, 'connection.open-ok', 0);
    await client.call({ name: 'channel.open' }, 'channel.open-ok');
    await client.call({ name: 'confirm.select' }, 'confirm.select-ok');
    return client;
  }

  /** Sends a method and waits for its answer. One at a time. @throws TargetError. */
  async call<N extends MethodName>(method: OutgoingMethod, answer: N, at: number = channel): Promise<MethodNamed<N>> {
    const answered = this.#expect(answer);
    this.#send(at, method);
    return (await answered) as Method as MethodNamed<N>;
  }

  /** Publishes messages, all mandatory; resolves when the target has taken responsibility for each. @throws TargetError. */
  publishAll(messages: readonly TargetMessage[]): Promise<void> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      this.#confirms = { resolve, reject };
      for (const { exchange, routingKey, properties, body } of messages) {
        const method = { name: 'basic.publish', exchange, routingKey, mandatory: true } as const;
        this.#writer.content(channel, method, { properties, body });
        this.#unconfirmed.add(++this.#tagLast);
      }
      this.#flush();
    });
  }

  /** Takes so many messages of a queue and gives them back, so that they are marked as redelivered. @throws TargetError. */
  async markSeen(queue: string, count: number): Promise<void> {
    const taken = new Promise<void>((resolve, reject) => (this.#deliveries = { resolve, reject, left: count }));
    taken.catch(() => undefined);
    const consumerTag = 'torcello-move';
    await this.call({ name: 'basic.consume', queue, consumerTag }, 'basic.consume-ok');
    await taken;
    await this.call({ name: 'basic.cancel', consumerTag }, 'basic.cancel-ok');
    await this.call({ name: 'basic.recover', requeue: true }, 'basic.recover-ok');
  }

  async close(): Promise<void> {
    if (this.#error !== undefined) return;
    const close = { name: 'connection.close', replyCode: 200, replyText: 'moved', classId: 0, methodId: 0 } as const;
    await this.call(close, 'connection.close-ok', 0);
    this.#socket.destroy();
  }

  #expect(name: MethodName): Promise<Method> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => (this.#expected = { name, resolve, reject }));
  }

  #send(at: number, method: OutgoingMethod): void {
    this.#writer.method(at, method);
    this.#flush();
  }

  #flush(): void {
    for (const chunk of this.#writer.take()) this.#socket.write(chunk);
  }

  #receive(chunk: Buffer): void {
    try {
      this.#reader.push(chunk);
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) this.#handle(frame);
    } catch (error) {
      this.#fail(new TargetError(noReply, error instanceof Error ? error.message : String(error)));
    }
  }

  #handle(frame: Frame): void {
    if (frame.type === 'protocolHeader') throw new TargetError(noReply, 'it speaks another version of AMQP');
    if (frame.type !== 'method') return;
    const { method } = frame;
    switch (method.name) {
      case 'channel.close':
      case 'connection.close':
        return this.#fail(new TargetError(method.replyCode, method.replyText));
      case 'basic.return':
        return this.#fail(new TargetError(method.replyCode, `${method.replyText} for '${method.routingKey}'`));
      case 'basic.nack':
        return this.#fail(new TargetError(noReply, 'a message was refused (basic.nack)'));
      case 'basic.ack':
        return this.#confirm(method.deliveryTag, method.multiple);
      case 'basic.deliver':
        return this.#delivered();
      default:
        if (method.name !== this.#expected?.name) return;
        this.#expected.resolve(method);
        this.#expected = undefined;
    }
  }

  /** RabbitMQ confirms in any order, one or many at a time. */
  #confirm(tag: number, isMultiple: boolean): void {
    const confirms = this.#confirms;
    if (confirms === undefined) return;
    const tags = isMultiple ? [...this.#unconfirmed].filter((one) => one <= tag) : [tag];
    for (const one of tags) this.#unconfirmed.delete(one);
    if (this.#unconfirmed.size > 0) return;
    this.#confirms = undefined;
    confirms.resolve();
  }

  #delivered(): void {
    const deliveries = this.#deliveries;
    if (deliveries === undefined || --deliveries.left > 0) return;
    this.#deliveries = undefined;
    deliveries.resolve();
  }

  #fail(error: TargetError): void {
    this.#error ??= error;
    this.#expected?.reject(error);
    this.#confirms?.reject(error);
    this.#deliveries?.reject(error);
    this.#expected = this.#confirms = this.#deliveries = undefined;
    this.#socket.destroy();
  }
}
