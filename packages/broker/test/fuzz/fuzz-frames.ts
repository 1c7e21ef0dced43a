import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';
import { FrameReader, FrameWriter } from '@torcello/amqp091';
import type { OutgoingMethod } from '@torcello/amqp091';
import { SimulatedClock } from '@torcello/platform/testing';
import { MemoryStore, startBroker } from '../../src/index.js';
import type { Broker } from '../../src/index.js';
import { Chaos, noticing } from './chaos.js';
import { mutated, split } from './mutations.js';

export interface FuzzResult {
  readonly frames: number;
  /** Connections that the broker closed with a word. */
  readonly closes: number;
  /** What was logged as a failure inside the broker, or could not be read by a client. */
  readonly failures: readonly unknown[];
  /** Longest time that one frame took, in milliseconds of this machine. */
  readonly slowestMs: number;
}

const framesPerConnection = 60;
const connectionsPerBroker = 400;

/** Sends frames by grammar and damaged ones, split anyhow, before and after the login, until there were so many. */
export async function fuzzFrames(options: { readonly seed: number; readonly frames: number }): Promise<FuzzResult> {
  const chaos = new Chaos(options.seed);
  const failures: unknown[] = [];
  let [frames, closes, slowestMs] = [0, 0, 0];
  while (frames < options.frames && failures.length === 0) {
    const clock = new SimulatedClock();
    const broker = await startBroker({
      store: new MemoryStore(),
      clock,
      logger: noticing(failures),
      users: [{ name: 'guest', password: 'guest' }],
      permits: ['transient_nonexcl_queues', 'global_qos'],
    });
    for (let count = 0; count < connectionsPerBroker && frames < options.frames; count++) {
      const client = new FuzzClient(broker, failures);
      const isLoggedIn = chaos.upTo(4) > 0;
      if (isLoggedIn) await client.open();
      for (let sent = 0; sent < framesPerConnection && !client.isClosed; sent++) {
        const from = performance.now();
        client.write(isLoggedIn ? channelBytes(chaos) : greetingBytes(chaos, sent), chaos);
        frames++;
        if (chaos.upTo(10) === 0) await clock.advance(chaos.upTo(100));
        slowestMs = Math.max(slowestMs, performance.now() - from);
      }
      await clock.advance(0);
      if (client.wasClosed) closes++;
      client.destroy();
    }
    await Promise.all([broker.stop(), clock.advance(10_000)]);
  }
  return { frames, closes, failures, slowestMs };
}

/** Something that a client says on a channel, damaged one time in five. */
function channelBytes(chaos: Chaos): Buffer {
  const channel = 1 + chaos.upTo(2);
  const bytes = chaos.upTo(6) === 0 ? bytesOf(channel, { name: 'channel.open' }) : chaos.bytes(channel, chaos.method());
  return chaos.upTo(5) === 0 ? mutated(bytes, chaos) : bytes;
}

/** The beginning of a connection, as it should be or damaged. */
function greetingBytes(chaos: Chaos, number: number): Buffer {
  const response = chaos.one([Buffer.from('\0guest\0guest'), Buffer.from('guest'), Buffer.alloc(0)]);
  const steps: readonly (() => Buffer)[] = [
    () => Buffer.from('AMQP\0\0\x09\x01', 'latin1'),
    () =>
      bytesOf(0, {
        name: 'connection.start-ok',
        clientProperties: chaos.table(),
        mechanism: chaos.one(['PLAIN', 'AMQPLAIN', 'EXTERNAL', '']),
        response,
        locale: 'en_US',
      }),
    () =>
      bytesOf(0, {
        name: 'connection.tune-ok',
        channelMax: chaos.upTo(70_000) & 0xffff,
        frameMax: chaos.upTo(200_000),
        heartbeat: chaos.upTo(60),
      }),
    () => bytesOf(0, { name: 'connection.open', virtualHost: chaos.one(['/', '', 'other']) }),
    () => chaos.bytes(chaos.upTo(3), chaos.method()),
  ];
  const step = chaos.upTo(3) === 0 ? chaos.one(steps) : steps[Math.min(number, steps.length - 1)];
  const bytes = step?.() ?? Buffer.alloc(0);
  return chaos.upTo(3) === 0 ? mutated(bytes, chaos) : bytes;
}

function bytesOf(channel: number, method: OutgoingMethod): Buffer {
  const writer = new FrameWriter();
  writer.method(channel, method);
  return Buffer.concat(writer.take());
}

/** A client that reads every frame, to see that it can, and remembers only how it ended. */
class FuzzClient {
  readonly #near: Duplex;
  readonly #far: Duplex;
  readonly #reader = new FrameReader({ role: 'client' });
  readonly #failures: unknown[];
  #wake: (name: string) => void = () => undefined;
  isClosed = false;
  wasClosed = false;

  constructor(broker: Broker, failures: unknown[]) {
    [this.#near, this.#far] = duplexPair();
    this.#failures = failures;
    const end = (): void => {
      this.isClosed = true;
      this.#wake('end');
    };
    this.#near.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#near
      .on('error', () => undefined)
      .once('end', end)
      .once('close', end);
    this.#far.once('close', end);
    broker.accept(this.#far);
  }

  async open(): Promise<void> {
    this.#near.write(Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
    await this.#until('connection.start');
    const response = Buffer.from('\0guest\0guest');
    this.#send({ name: 'connection.start-ok', clientProperties: {}, mechanism: 'PLAIN', response, locale: 'en_US' });
    await this.#until('connection.tune');
    this.#send({ name: 'connection.tune-ok', channelMax: 60, frameMax: 131_072, heartbeat: 0 });
    this.#send({ name: 'connection.open', virtualHost: '/' });
    await this.#until('connection.open-ok');
    this.#near.write(bytesOf(1, { name: 'channel.open' }));
  }

  write(bytes: Buffer, chaos: Chaos): void {
    for (const chunk of split(bytes, chaos)) if (chunk.length > 0 && !this.isClosed) this.#near.write(chunk);
  }

  destroy(): void {
    this.#near.destroy();
    this.#far.destroy();
  }

  #send(method: OutgoingMethod): void {
    this.#near.write(bytesOf(0, method));
  }

  #until(wanted: string): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = (name) => {
        if (name === wanted || name === 'end') resolve();
      };
    });
  }

  #receive(chunk: Buffer): void {
    try {
      this.#reader.push(chunk);
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        if (frame.type !== 'method') continue;
        if (frame.method.name === 'connection.close') this.wasClosed = true;
        this.#wake(frame.method.name);
      }
    } catch (error) {
      this.#failures.push(error);
    }
  }
}
