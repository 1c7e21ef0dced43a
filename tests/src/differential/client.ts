import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { ContentAssembler, FrameReader, FrameWriter } from '@torcello/amqp091';
import type { Command, Frame, OutgoingMethod } from '@torcello/amqp091';
import type { Letter } from './scenario.js';

/** Who a client is and where it goes. */
export interface ClientOptions {
  readonly port: number;
  readonly vhost: string;
  readonly user: string;
  /** Called with every frame of channels and every end. */
  readonly saw: (channel: number, command: Command) => void;
}

/** Methods after which nothing comes back. */
const unanswered = new Set(['basic.ack', 'basic.nack', 'basic.reject', 'basic.recover-async']);

/** One connection that tells everything it sees. */
export class WireClient {
  readonly #socket: Socket;
  readonly #reader = new FrameReader({ role: 'client', keepTypes: true });
  readonly #writer = new FrameWriter();
  readonly #assemblers = new Map<number, ContentAssembler>();
  readonly #open = new Set<number>();
  readonly #saw: ClientOptions['saw'];
  #isOver = false;
  #lastAtMs = performance.now();
  #waiting: { readonly channel: number; readonly wake: () => void } | undefined;

  private constructor(options: ClientOptions) {
    this.#saw = options.saw;
    this.#socket = connect({ port: options.port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('error', () => this.#end());
    this.#socket.on('close', () => this.#end());
  }

  static async open(options: ClientOptions): Promise<WireClient> {
    const client = new WireClient(options);
    client.#writer.protocolHeader();
    await client.#answered(0);
    const response = Buffer.from(`\0${options.user}\0${options.user}`);
    const capabilities = { consumer_cancel_notify: true, 'basic.nack': true, publisher_confirms: true };
    client.#writer.method(0, {
      name: 'connection.start-ok',
      clientProperties: { capabilities },
      mechanism: 'PLAIN',
      response,
      locale: 'en_US',
    });
    await client.#answered(0);
    client.#writer.method(0, { name: 'connection.tune-ok', channelMax: 64, frameMax: 131_072, heartbeat: 0 });
    client.#writer.method(0, { name: 'connection.open', virtualHost: options.vhost });
    await client.#answered(0);
    return client;
  }

  /** Milliseconds since something came. */
  get quietMs(): number {
    return performance.now() - this.#lastAtMs;
  }

  isUsable(channel: number): boolean {
    return !this.#isOver && this.#open.has(channel);
  }

  async openChannel(channel: number): Promise<void> {
    if (this.#isOver) return;
    this.#open.add(channel);
    this.#assemblers.set(channel, new ContentAssembler({ keepTypes: true }));
    this.#writer.method(channel, { name: 'channel.open' });
    await this.#answered(channel);
  }

  async send(channel: number, method: OutgoingMethod): Promise<void> {
    this.#writer.method(channel, method);
    const isAnswered = !unanswered.has(method.name) && !('noWait' in method && method.noWait === true);
    if (isAnswered) return this.#answered(channel);
    this.#flush();
  }

  publish(channel: number, letter: Letter): void {
    const { exchange = '', routingKey, mandatory = false, immediate = false, body = '', properties = {} } = letter;
    const method = { name: 'basic.publish', exchange, routingKey, mandatory, immediate } as const;
    this.#writer.content(channel, method, { properties, body: Buffer.from(body) });
    this.#flush();
  }

  cut(): void {
    this.#socket.destroy();
  }

  #answered(channel: number): Promise<void> {
    this.#flush();
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => (this.#waiting = { channel, wake: resolve }));
  }

  #flush(): void {
    for (const chunk of this.#writer.take()) this.#socket.write(chunk);
  }

  #end(): void {
    this.#isOver = true;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.wake();
  }

  #receive(chunk: Buffer): void {
    this.#reader.push(chunk);
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) this.#handle(frame);
  }

  #handle(frame: Frame): void {
    if (frame.type === 'heartbeat' || frame.type === 'protocolHeader') return;
    this.#lastAtMs = performance.now();
    if (frame.channel === 0) return this.#control(frame);
    const command = this.#assemblers.get(frame.channel)?.push(frame);
    if (command === undefined) return;
    const { name } = command.method;
    if (name !== 'channel.open-ok') this.#saw(frame.channel, command);
    if (name === 'channel.close') {
      this.#open.delete(frame.channel);
      this.#writer.method(frame.channel, { name: 'channel.close-ok' });
      this.#flush();
    }
    const isAsynchronous = ['basic.deliver', 'basic.return', 'basic.ack', 'basic.nack', 'basic.cancel'].includes(name);
    if (!isAsynchronous && this.#waiting?.channel === frame.channel) this.#wake();
  }

  #control(frame: Exclude<Frame, { type: 'heartbeat' | 'protocolHeader' }>): void {
    if (frame.type !== 'method') return;
    if (frame.method.name === 'connection.close') {
      this.#saw(0, { method: frame.method });
      this.#writer.method(0, { name: 'connection.close-ok' });
      this.#flush();
      this.#end();
    } else if (this.#waiting?.channel === 0) this.#wake();
  }
}
