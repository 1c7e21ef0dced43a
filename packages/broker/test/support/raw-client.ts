import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';
import { FrameReader, FrameWriter } from '@torcello/amqp091';
import type {
  Frame,
  FieldTable,
  Method,
  MethodName,
  MethodNamed,
  OutgoingContent,
  OutgoingMethod,
} from '@torcello/amqp091';
import type { Broker } from '../../src/index.js';

/** A client that does what the test says, well or badly, over an in-memory pipe. */
export class RawClient {
  readonly stream: Duplex;
  readonly #reader = new FrameReader({ role: 'client' });
  readonly #writer = new FrameWriter();
  readonly #frames: Frame[] = [];
  #wake: () => void = () => undefined;
  #isClosed = false;
  readonly closed: Promise<void>;
  readonly #far: Duplex;

  constructor(broker: Broker, address?: string) {
    const [near, far] = duplexPair();
    this.stream = near;
    this.#far = far;
    this.closed = new Promise((resolve) => {
      const end = (): void => {
        this.#isClosed = true;
        this.#wake();
        resolve();
      };
      near.once('end', end).once('close', end);
      far.once('close', end);
    });
    near.on('data', (chunk: Buffer) => this.#receive(chunk));
    near.on('error', () => undefined);
    broker.accept(far, address);
  }

  /** Breaks the pipe. A pipe in memory does not tell its far end by itself. */
  destroy(): void {
    this.stream.destroy();
    this.#far.destroy();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Goes through the whole handshake. */
  async open(
    options: {
      readonly heartbeat?: number;
      readonly user?: string;
      readonly frameMax?: number;
      readonly capabilities?: FieldTable;
      readonly vhost?: string;
    } = {},
  ): Promise<this> {
    this.protocolHeader();
    await this.method('connection.start');
    this.login(options.user ?? 'guest', options.capabilities);
    const tune = await this.method('connection.tune');
    const { channelMax, frameMax } = tune;
    this.send(0, {
      name: 'connection.tune-ok',
      channelMax,
      frameMax: options.frameMax ?? frameMax,
      heartbeat: options.heartbeat ?? 0,
    });
    this.send(0, { name: 'connection.open', virtualHost: options.vhost ?? '/' });
    await this.method('connection.open-ok');
    return this;
  }

  login(user: string, capabilities: FieldTable = {}): void {
    const response = Buffer.from(`\0${user}\0${user}`);
    this.send(0, {
      name: 'connection.start-ok',
      clientProperties: { capabilities },
      mechanism: 'PLAIN',
      response,
      locale: 'en_US',
    });
  }

  async channel(number = 1): Promise<void> {
    this.send(number, { name: 'channel.open' });
    await this.method('channel.open-ok');
  }

  protocolHeader(): void {
    this.#writer.protocolHeader();
    this.#flush();
  }

  heartbeat(): void {
    this.#writer.heartbeat();
    this.#flush();
  }

  send(channel: number, method: OutgoingMethod): void {
    this.#writer.method(channel, method);
    this.#flush();
  }

  publish(channel: number, routingKey: string, content: OutgoingContent, exchange = ''): void {
    this.#writer.content(channel, { name: 'basic.publish', exchange, routingKey }, content);
    this.#flush();
  }

  raw(bytes: Uint8Array): void {
    this.stream.write(bytes);
  }

  /** The next method of that name; others in between are dropped. */
  async method<N extends MethodName>(name: N): Promise<MethodNamed<N>> {
    for (;;) {
      const frame = await this.frame();
      if (frame === undefined) throw new Error(`the stream ended before ${name} came`);
      if (frame.type !== 'method') continue;
      if (frame.method.name === name) return frame.method as Method as MethodNamed<N>;
      if (frame.method.name === 'connection.close' || frame.method.name === 'channel.close') {
        throw new Error(`${frame.method.name} came instead of ${name}: ${frame.method.replyText}`);
      }
    }
  }

  /** The body behind a delivery whose method was read. */
  async content(): Promise<Buffer> {
    const header = await this.frame();
    if (header?.type !== 'header') throw new Error(`a ${header?.type} frame came instead of a header`);
    const parts: Uint8Array[] = [];
    for (let got = 0; got < header.bodySizeBytes;) {
      const frame = await this.frame();
      if (frame?.type !== 'body') throw new Error(`a ${frame?.type} frame came instead of a body`);
      parts.push(frame.payload);
      got += frame.payload.length;
    }
    return Buffer.concat(parts);
  }

  /** The next frame; undefined when the stream has ended. */
  async frame(): Promise<Frame | undefined> {
    while (this.#frames.length === 0 && !this.#isClosed) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#frames.shift();
  }

  #flush(): void {
    for (const chunk of this.#writer.take()) this.stream.write(chunk);
  }

  #receive(chunk: Buffer): void {
    this.#reader.push(chunk);
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
      this.#frames.push(frame);
      const isEnd = frame.type === 'method' && frame.method.name === 'connection.close';
      if (isEnd) this.send(0, { name: 'connection.close-ok' });
    }
    this.#wake();
  }
}
