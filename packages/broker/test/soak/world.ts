import type { Socket } from 'node:net';
import { connect } from 'amqplib';
import type { Channel, ChannelModel, ConfirmChannel } from 'amqplib';
import { sleep, systemClock } from '@torcello/platform';
import type { Random } from '@torcello/platform';
import type { BrokerHost } from './broker-host.js';

/** The broker did what it must not do. */
export class Wrong extends Error {}

/** Whatever somebody leaves behind ends by itself after so many milliseconds. */
export const leftoverMs = 5_000;
const notFound = 404;
const numberBytes = 12;
const bodyBytesMax = 200_000;
const wrongsMax = 100;

/** What everybody who loads the broker shares. */
export class World {
  readonly host: BrokerHost;
  readonly random: Random;
  readonly wrongs: string[] = [];
  /** How often each thing was done. */
  readonly counts: Map<string, number> = new Map();
  /** The busy part of a cycle has ended: finish. */
  isOver = false;
  #lastName = 0;
  readonly #sessions = new Set<Session>();
  readonly #underWay = new Map<object, string>();
  readonly #pool: Buffer;

  constructor(host: BrokerHost, random: Random) {
    this.host = host;
    this.random = random;
    this.#pool = Buffer.from(random.bytes(2 * bodyBytesMax));
  }

  wrong(text: string): void {
    if (this.wrongs.length < wrongsMax) this.wrongs.push(text);
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  counted(what: string): number {
    return this.counts.get(what) ?? 0;
  }

  chance(share: number): boolean {
    return this.random.fraction() < share;
  }

  upTo(most: number): number {
    return Math.floor(this.random.fraction() * most);
  }

  freshName(kind: string): string {
    return `${kind}.${++this.#lastName}`;
  }

  pause(ms: number): Promise<void> {
    return sleep(systemClock, ms);
  }

  /** Waits until something is so, for as long as a loaded machine may need. */
  async until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (const deadline = systemClock.monotonicMs() + 60_000; !(await isSo());) {
      if (systemClock.monotonicMs() > deadline) return this.wrong(`in a minute not: ${what}`);
      await this.pause(100);
    }
  }

  /** A body that tells its number and whether it is whole: mostly some hundred bytes, at times 200 kB. */
  body(number: number): Buffer {
    const most = this.chance(0.8) ? 2_000 : this.chance(0.9) ? 20_000 : bodyBytesMax;
    const length = 256 + this.upTo(most - 256);
    const head = Buffer.alloc(numberBytes);
    head.writeDoubleLE(number, 0);
    head.writeUInt32LE(length, 8);
    return Buffer.concat([head, this.#filling(number, length)]);
  }

  /** @throws Wrong when it is not what was sent. */
  numberIn(body: Buffer): number {
    const number = body.readDoubleLE(0);
    const isWhole = body.subarray(numberBytes).equals(this.#filling(number, body.readUInt32LE(8)));
    if (!isWhole) throw new Wrong(`the body of ${number} is damaged`);
    return number;
  }

  #filling(number: number, length: number): Buffer {
    const start = (number * 7_919) % bodyBytesMax;
    return this.#pool.subarray(start, start + length);
  }

  async open(
    login: { readonly user?: string; readonly heartbeat?: number; readonly vhost?: string } = {},
  ): Promise<Session> {
    const { user = 'guest', heartbeat = 30, vhost = '%2F' } = login;
    const model = await connect(`${this.host.url(user, user)}/${vhost}?heartbeat=${heartbeat}`, { noDelay: true });
    this.count('connections');
    const session = new Session(this, model);
    this.#sessions.add(session);
    void session.ended.then(() => this.#sessions.delete(session));
    return session;
  }

  /** What is being done. */
  get underWay(): readonly string[] {
    return [...this.#underWay.values()];
  }

  /** Whoever was forgotten goes. */
  destroyAll(): void {
    for (const session of this.#sessions) session.destroy();
  }

  /**
   * One life of a client. An error is wrong, but for one of a broker that went down meanwhile (then amqplib may leave an
   * answer open for ever, so nobody waits for one), and for a queue that ended because this program was too slow for it.
   */
  async attempt(what: string, life: (session: Session) => Promise<void>): Promise<void> {
    const { ends, isUp } = this.host;
    if (!isUp) return this.pause(50);
    const startedAtMs = systemClock.monotonicMs();
    let session: Session | undefined;
    const key = {};
    this.#underWay.set(key, what);
    try {
      session = await this.open();
      await Promise.race([life(session), session.lost]);
      this.count(what);
    } catch (error) {
      const isSlow = systemClock.monotonicMs() - startedAtMs >= leftoverMs;
      const isLate = isSlow && (error as { readonly code?: unknown }).code === notFound;
      const isExcused = ends !== this.host.ends || isLate;
      if (error instanceof Wrong || !isExcused) this.wrong(`${what}: ${String(error)}`);
      await this.pause(20);
    } finally {
      this.#underWay.delete(key);
      session?.destroy();
    }
  }
}

/** What a socket of Node has below it. */
interface ReadableHandle {
  readStop(): void;
  readStart(): void;
}

/** One connection. */
export class Session {
  readonly #world: World;
  readonly #model: ChannelModel;
  /** Rejects when the connection ends without its client's will. */
  readonly lost: Promise<never>;
  readonly ended: Promise<void>;
  readonly #ends: number;
  #isGoing = false;

  constructor(world: World, model: ChannelModel) {
    this.#world = world;
    this.#model = model;
    this.#ends = world.host.ends;
    model.on('error', () => undefined);
    let lose: (error: Error) => void = () => undefined;
    this.lost = new Promise((_resolve, reject) => (lose = reject));
    this.lost.catch(() => undefined);
    this.ended = new Promise((resolve) => {
      model.once('close', () => {
        if (!this.#isGoing) lose(new Error('the connection ended'));
        this.#isGoing = true;
        resolve();
      });
    });
  }

  /** Nothing that still comes counts: it went, or the broker went down, which may be known before the last bytes are read. */
  get isGoing(): boolean {
    return this.#isGoing || this.#ends !== this.#world.host.ends;
  }

  get #socket(): Socket {
    return (this.#model.connection as unknown as { readonly stream: Socket }).stream;
  }

  /** Takes nothing out of the socket any more. amqplib reads also from a stream that was paused, so its handle must stop. */
  stopReading(): void {
    this.#handle?.readStop();
  }

  readAgain(): void {
    this.#handle?.readStart();
  }

  get #handle(): ReadableHandle | undefined {
    const { _handle: handle } = this.#socket as unknown as { readonly _handle: ReadableHandle | null };
    return handle ?? undefined;
  }

  async channel(): Promise<Channel> {
    return this.#quiet(await this.#model.createChannel());
  }

  async confirmChannel(): Promise<ConfirmChannel> {
    return this.#quiet(await this.#model.createConfirmChannel());
  }

  /** All confirms have come; of a channel that ended amqplib does not say that they never will. */
  async confirmed(channel: ConfirmChannel): Promise<void> {
    await Promise.race([channel.waitForConfirms(), this.lost]);
  }

  /** Goes with a word. */
  async close(): Promise<void> {
    if (this.#isGoing) return;
    this.#isGoing = true;
    await Promise.race([this.#model.close(), this.ended]);
  }

  /** Somebody else will end it. */
  leave(): void {
    this.#isGoing = true;
  }

  /** Goes without one. */
  destroy(): void {
    this.#socket.destroy(new Error('the client is gone'));
    this.#isGoing = true;
  }

  /** Either, as it comes. */
  async end(): Promise<void> {
    if (this.#world.chance(0.7)) await this.close();
    else this.destroy();
  }

  #quiet<C extends Channel>(channel: C): C {
    this.#world.count('channels');
    channel.on('error', () => undefined);
    return channel;
  }
}
