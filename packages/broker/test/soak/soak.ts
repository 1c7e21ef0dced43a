import { join } from 'node:path';
import { sleep, systemClock } from '@torcello/platform';
import { seededRandom } from '@torcello/platform/testing';
import { BrokerHost } from './broker-host.js';
import { driftIn, figuresOf, shownFigures } from './figures.js';
import type { Figures } from './figures.js';
import { keepMailboxes } from './mailboxes.js';
import { doRounds } from './rounds.js';
import { StreamLedger } from './stream-ledger.js';
import { consumeForAWhile, drain, publishForAWhile } from './streams.js';
import { World } from './world.js';

export interface SoakOptions {
  readonly seed: number;
  readonly cycles: number;
  /** How long each cycle is busy, in milliseconds. */
  readonly busyMs: number;
  /** A folder for a heap snapshot of the first and the last cycle of a life. */
  readonly snapshots?: string;
  readonly report: (line: string) => void;
}

export interface SoakResult {
  readonly confirmed: number;
  readonly delivered: number;
  readonly lost: number;
  readonly connections: number;
  readonly wrongs: readonly string[];
  readonly drifts: readonly string[];
}

const streamCount = 4;
const roundRunners = 6;
/** Time for everybody to come to an end, in milliseconds. */
const finishMsMax = 120_000;
const mailboxKeepers = 4;
/** Cycles of one block: the first three end in kills and a restart, the others in idleness. */
const blockCycles = 30;

/** A fleet at work, in cycles: busy, then quiet, then everything is drained, compared and measured at a like point. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const host = await BrokerHost.start();
  try {
    const world = new World(host, seededRandom(options.seed));
    const soaking = new Soaking(world, options);
    await soaking.prepare();
    for (let cycle = 1; cycle <= options.cycles; cycle++) await soaking.cycle(cycle);
    await soaking.end();
    return soaking.result();
  } finally {
    await host.stop('SIGKILL');
    host.remove();
  }
}

class Soaking {
  readonly #world: World;
  readonly #options: SoakOptions;
  readonly #streams = Array.from({ length: streamCount }, (_none, at) => new StreamLedger(`stream.${at}`));
  readonly #letters = new StreamLedger('letters');
  readonly #figures: Figures[] = [];
  #lost = 0;
  #backlogBytes = 0;
  /** Wrongs that were reported. */
  #told = 0;

  constructor(world: World, options: SoakOptions) {
    this.#world = world;
    this.#options = options;
  }

  async prepare(): Promise<void> {
    const session = await this.#world.open();
    const channel = await session.channel();
    for (const { name } of this.#streams) await channel.assertQueue(name, { durable: true });
    await channel.assertQueue('dead', { durable: true });
    await session.close();
  }

  async cycle(number: number): Promise<void> {
    const world = this.#world;
    world.isOver = false;
    const everybody = this.#everybody();
    await this.#disturb(number);
    world.isOver = true;
    await this.#finished(everybody);
    await this.#quiet();
    for (const stream of this.#streams) await drain(world, stream, { isDead: false });
    await drain(world, this.#letters, { isDead: true });
    this.#settle(number);
    await this.#empty();
    const figures = await figuresOf(world.host, this.#backlogBytes);
    this.#figures.push(figures);
    for (const line of world.host.failures()) world.wrong(line);
    this.#options.report(`${number}: ${shownFigures(figures)} ${this.#shownCounts()}`);
    this.#tell();
    await this.#snapshot(number);
  }

  /** The store holds what was declared at the start, and nothing of what came and went. */
  async end(): Promise<void> {
    const { host } = this.#world;
    await host.stop('SIGTERM');
    const left = await host.left();
    const expected = { messages: 0, queue: streamCount + 1, exchange: 0, binding: 0, policy: 0, user: 1, vhost: 1 };
    for (const [kind, count] of Object.entries(expected)) {
      if ((left[kind] ?? 0) !== count) this.#world.wrong(`left in the store: ${JSON.stringify(left)}`);
    }
    this.#tell();
  }

  #tell(): void {
    const { wrongs } = this.#world;
    for (const line of wrongs.slice(this.#told)) this.#options.report(`wrong: ${line}`);
    this.#told = wrongs.length;
  }

  result(): SoakResult {
    const all = [...this.#streams, this.#letters];
    const sum = (count: (one: StreamLedger) => number): number => all.reduce((total, one) => total + count(one), 0);
    return {
      confirmed: sum(({ confirmedCount }) => confirmedCount),
      delivered: sum(({ deliveredCount }) => deliveredCount),
      lost: this.#lost,
      connections: this.#world.counted('connections'),
      wrongs: this.#world.wrongs,
      drifts: driftIn(this.#figures),
    };
  }

  #everybody(): Promise<void>[] {
    const world = this.#world;
    return [
      ...this.#streams.flatMap((stream) => [
        publishForAWhile(world, stream),
        consumeForAWhile(world, stream),
        consumeForAWhile(world, stream),
      ]),
      ...Array.from({ length: mailboxKeepers }, () => keepMailboxes(world, this.#letters)),
      ...Array.from({ length: roundRunners }, () => doRounds(world)),
      this.#watch(),
    ];
  }

  /** Somebody looks at everything all the time, as an operator's tools do, and keeps the largest backlog. */
  async #watch(): Promise<void> {
    const world = this.#world;
    const { host } = world;
    for (; !world.isOver; await world.pause(500)) {
      const { ends, isUp } = host;
      if (!isUp) continue;
      try {
        const queues = await host.rows('queues');
        const bytes = queues.reduce((sum, row) => sum + Number(row['message_bytes_ready']), 0);
        this.#backlogBytes = Math.max(this.#backlogBytes, bytes);
        for (const table of ['connections', 'channels', 'consumers', 'bindings', 'definitions', 'overview'])
          await host.ask('GET', table);
      } catch (error) {
        if (ends === host.ends) world.wrong(`management: ${String(error)}`);
      }
    }
  }

  /** In the first cycles of a block the broker is killed twice, stopped, and both. */
  async #disturb(number: number): Promise<void> {
    const { host } = this.#world;
    const place = (number - 1) % blockCycles;
    const blows = [['SIGKILL', 'SIGKILL'], ['SIGTERM'], ['SIGTERM', 'SIGKILL']][place] ?? [];
    const partMs = this.#options.busyMs / (blows.length + 1);
    for (const signal of blows) {
      await this.#world.pause(partMs * (0.5 + this.#world.random.fraction() / 2));
      await host.stop(signal as NodeJS.Signals);
      for (const ledger of [...this.#streams, this.#letters]) ledger.brokerEnded();
      await host.start();
    }
    await this.#world.pause(partMs);
  }

  async #finished(everybody: readonly Promise<void>[]): Promise<void> {
    const waiting = new AbortController();
    const late = sleep(systemClock, finishMsMax, waiting.signal).then(
      () => Promise.reject(new Error(`an answer never comes: ${this.#world.underWay.join(', ')}`)),
      () => undefined,
    );
    await Promise.race([Promise.all(everybody), late]);
    waiting.abort();
    this.#world.destroyAll();
  }

  /** All connections are gone, and every queue that ends by itself has ended. */
  async #quiet(): Promise<void> {
    const { host } = this.#world;
    const kept = new Set([...this.#streams.map(({ name }) => name), 'dead']);
    const others = async (): Promise<string[]> =>
      (await host.rows('queues')).map(({ name }) => String(name)).filter((name) => !kept.has(name));
    await this.#world.until('all connections have ended', async () => (await host.rows('connections')).length === 0);
    await this.#world.until('all queues with an expiry have ended', async () => (await others()).length === 0);
  }

  #settle(number: number): void {
    for (const ledger of [...this.#streams, this.#letters]) {
      const lost = ledger.settle();
      this.#lost += lost.length;
      if (lost.length > 0) this.#world.wrong(`cycle ${number}: ${ledger.name} lost ${lost.slice(0, 10).join(' ')}`);
    }
  }

  /** Nothing is left of what came and went. */
  async #empty(): Promise<void> {
    const { host } = this.#world;
    await this.#tidyUp();
    await this.#world.until('the last connection has ended', async () => (await host.rows('connections')).length === 0);
    const expected = { queues: streamCount + 1, exchanges: 5, bindings: streamCount + 1, channels: 0, consumers: 0 };
    const there = { ...expected, users: 1, policies: 0, 'operator-policies': 0, vhosts: 1 };
    for (const [table, count] of Object.entries(there)) {
      const rows = await host.rows(table);
      if (rows.length !== count) {
        this.#world.wrong(`${table}: ${rows.length} and not ${count}: ${JSON.stringify(rows).slice(0, 500)}`);
      }
    }
  }

  /** What somebody could not take away because the broker was down. */
  async #tidyUp(): Promise<void> {
    const { host } = this.#world;
    if (host.ends === this.#figures.at(-1)?.life) return;
    for (const table of ['policies/%2F', 'users', 'vhosts']) {
      const names = (await host.rows(table))
        .map(({ name }) => String(name))
        .filter((name) => !['guest', '/'].includes(name));
      for (const name of names) await host.ask('DELETE', `${table}/${name}`);
    }
  }

  #shownCounts(): string {
    const world = this.#world;
    const sum = [...this.#streams, this.#letters].reduce((total, { confirmedCount }) => total + confirmedCount, 0);
    const connections = world.counted('connections');
    return `confirmed ${sum} connections ${connections} channels ${world.counted('channels')} wrong ${world.wrongs.length}`;
  }

  async #snapshot(number: number): Promise<void> {
    const { snapshots, cycles } = this.#options;
    if (snapshots === undefined) return;
    const place = (number - 1) % blockCycles;
    if (place === 5 || number === cycles) {
      await this.#world.host.heapSnapshot(join(snapshots, `cycle-${number}.heapsnapshot`));
    }
  }
}
