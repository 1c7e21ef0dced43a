import type { Duplex } from 'node:stream';
import {
  ContentAssembler,
  FrameReader,
  FrameWriter,
  type Command,
  type Frame,
  type MethodName,
  type MethodNamed,
  type OutgoingContent,
  type OutgoingContentMethod,
  type OutgoingMethod,
} from '@torcello/amqp091';
import type { Network } from '@torcello/platform';
import { pipeNetwork } from '@torcello/platform/testing';

/** What a client sent, as the fake broker understood it. */
export interface Received {
  readonly channel: number;
  readonly command: Command;
}
type Answer = (session: FakeSession, received: Received) => void;
export type Script = { readonly [N in MethodName]?: Answer };

/** A broker that says what a test tells it to, and politely plays along in everything else. */
export class FakeBroker {
  readonly sessions: FakeSession[] = [];
  readonly network: Network;
  #waiters: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(script: Script = {}, onOpen?: (session: FakeSession) => void) {
    this.network = pipeNetwork((stream) => {
      const session = new FakeSession(stream, { ...polite, ...script });
      this.sessions.push(session);
      onOpen?.(session);
      for (const waiter of this.#waiters) if (this.sessions.length >= waiter.count) waiter.resolve();
    });
  }

  /** The session of a number, counted from 0: the driver's first connection is 0, its publishing one 1. */
  async session(index: number): Promise<FakeSession> {
    if (this.sessions.length <= index) {
      await new Promise<void>((resolve) => this.#waiters.push({ count: index + 1, resolve }));
    }
    const session = this.sessions[index];
    if (session === undefined) throw new Error('no such session');
    return session;
  }
}

export class FakeSession {
  readonly received: Received[] = [];
  readonly writer: FrameWriter = new FrameWriter();
  readonly reader: FrameReader = new FrameReader({ role: 'server' });
  /** Chunks that came from the client: what it wrote at a time. */
  chunks = 0;
  heartbeats = 0;
  largestFrameBytes = 0;
  isEnded = false;
  readonly #stream: Duplex;
  readonly #script: Script;
  readonly #assemblers = new Map<number, ContentAssembler>();
  #waiters: { readonly test: (received: Received) => boolean; readonly resolve: (received: Received) => void }[] = [];

  constructor(stream: Duplex, script: Script) {
    this.#stream = stream;
    this.#script = script;
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('end', () => (this.isEnded = true));
    stream.on('close', () => (this.isEnded = true));
    stream.on('error', () => undefined);
  }

  send(channel: number, method: OutgoingMethod): void {
    this.writer.method(channel, method);
    this.#flush();
  }

  sendContent(channel: number, method: OutgoingContentMethod, content: OutgoingContent): void {
    this.writer.content(channel, method, content);
    this.#flush();
  }

  heartbeat(): void {
    this.writer.heartbeat();
    this.#flush();
  }

  raw(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  /** Ends after what was sent. */
  hangUp(): void {
    this.#stream.end();
  }

  /** Everything of that name that came so far. */
  all<N extends MethodName>(
    name: N,
  ): readonly (Received & { readonly command: { readonly method: MethodNamed<N> } })[] {
    return this.received.filter(({ command }) => command.method.name === name) as never;
  }

  /** The `count`th command of that name, waited for. */
  async nth<N extends MethodName>(name: N, count: number): Promise<Received & { readonly method: MethodNamed<N> }> {
    const found = this.all(name)[count - 1] ?? (await this.#wait(name, count));
    return { ...found, method: found.command.method as unknown as MethodNamed<N> };
  }

  #wait(name: MethodName, count: number): Promise<Received> {
    const test = ({ command }: Received): boolean => command.method.name === name && this.all(name).length >= count;
    return new Promise((resolve) => this.#waiters.push({ test, resolve }));
  }

  #onData(chunk: Buffer): void {
    this.chunks += 1;
    this.reader.push(chunk);
    for (let frame = this.reader.next(); frame !== undefined; frame = this.reader.next()) this.#onFrame(frame);
  }

  #onFrame(frame: Frame): void {
    // The header is no method; what the script has for `connection.start` answers it.
    if (frame.type === 'protocolHeader') {
      const header = { channel: 0, command: { method: { name: 'connection.close-ok' } } } as const;
      return this.#script['connection.start']?.(this, header);
    }
    if (frame.type === 'heartbeat') {
      this.heartbeats += 1;
      return;
    }
    if (frame.type === 'body') this.largestFrameBytes = Math.max(this.largestFrameBytes, frame.payload.byteLength + 8);
    const assembler = this.#assemblers.get(frame.channel) ?? new ContentAssembler();
    this.#assemblers.set(frame.channel, assembler);
    const command = assembler.push(frame);
    if (command === undefined) return;
    const received = { channel: frame.channel, command };
    this.received.push(received);
    this.#script[command.method.name]?.(this, received);
    const [ready, others] = [
      this.#waiters.filter(({ test }) => test(received)),
      this.#waiters.filter(({ test }) => !test(received)),
    ];
    this.#waiters = others;
    for (const waiter of ready) waiter.resolve(received);
  }

  #flush(): void {
    for (const chunk of this.writer.take()) this.#stream.write(chunk);
  }
}

export const startMethod: OutgoingMethod = {
  name: 'connection.start',
  versionMajor: 0,
  versionMinor: 9,
  serverProperties: { product: 'Fake', version: '1', capabilities: { authentication_failure_close: true } },
  mechanisms: 'PLAIN AMQPLAIN EXTERNAL',
  locales: 'en_US',
};

function reply(method: OutgoingMethod): Answer {
  return (session, { channel }) => session.send(channel, method);
}

const polite: Script = {
  'connection.start': reply(startMethod),
  'connection.start-ok': reply({ name: 'connection.tune', channelMax: 0, frameMax: 131_072, heartbeat: 60 }),
  'connection.open': reply({ name: 'connection.open-ok' }),
  'connection.close': (session, { channel }) => {
    session.send(channel, { name: 'connection.close-ok' });
    session.hangUp();
  },
  'channel.open': reply({ name: 'channel.open-ok' }),
  'channel.close': reply({ name: 'channel.close-ok' }),
  'confirm.select': reply({ name: 'confirm.select-ok' }),
  'exchange.declare': reply({ name: 'exchange.declare-ok' }),
  'queue.bind': reply({ name: 'queue.bind-ok' }),
  'queue.declare': (session, { channel, command }) => {
    const { queue } = command.method as MethodNamed<'queue.declare'>;
    session.send(channel, { name: 'queue.declare-ok', queue, messageCount: 0, consumerCount: 0 });
  },
  'basic.qos': reply({ name: 'basic.qos-ok' }),
  'basic.consume': (session, { channel, command }) => {
    const { consumerTag } = command.method as MethodNamed<'basic.consume'>;
    session.send(channel, { name: 'basic.consume-ok', consumerTag });
  },
  'basic.cancel': (session, { channel, command }) => {
    const { consumerTag } = command.method as MethodNamed<'basic.cancel'>;
    session.send(channel, { name: 'basic.cancel-ok', consumerTag });
  },
};
