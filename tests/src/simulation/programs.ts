import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Agent } from '@torcello/agent';
import { SimulatedDisk, noStepGroups } from '@torcello/agent/testing';
import { Api } from '@torcello/api';
import type { ApiOptions } from '@torcello/api';
import type { ApiServices } from '@torcello/api/testing';
import { MemoryStore, emptyDisk, startBroker } from '@torcello/broker';
import type { MemoryDisk } from '@torcello/broker';
import { Conductor, planSigner } from '@torcello/conductor';
import type { JoinAnswer } from '@torcello/contracts/agent';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { connect } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import { silentLogger } from '@torcello/platform';
import type { Random } from '@torcello/platform';
import { SimulatedStore } from './broker-disk.js';
import { SimulatedDatabase } from './database.js';
import type { Ledger } from './ledger.js';
import type { SimulatedMachine } from './machine.js';
import type { SimulatedNetwork } from './network.js';
import { slowDisk } from './slow-disk.js';
import { Life } from './world-clock.js';
import type { WorldClock } from './world-clock.js';

/** What every program of a world is made of. */
export interface Parts {
  readonly clock: WorldClock;
  readonly network: SimulatedNetwork;
  readonly ledger: Ledger;
  /** Another source of randomness for each who asks, by the seed of the run and the order of asking. */
  readonly nextRandom: () => Random;
}

const url = 'amqp://torcello:simulated@broker:5672/';
const heartbeatMs = 10_000;
/** A fixed key: the same plans get the same signatures. */
const planKey = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
`;
const planPublicKey = createPublicKey(createPrivateKey(planKey)).export({ type: 'spki', format: 'pem' }).toString();
const signer = planSigner(planKey);
const secretsFolder = mkdtempSync(path.join(tmpdir(), 'torcello-simulation-'));
process.once('exit', () => rmSync(secretsFolder, { recursive: true, force: true }));

function connectTo(parts: Parts, life: Life, signal?: AbortSignal): Promise<Transport> {
  return connect(url, {
    drivers: [amqp091Driver()],
    clock: life.clock,
    random: parts.nextRandom(),
    network: parts.network.of(life),
    logger: silentLogger,
    heartbeatMs,
    connectionName: life.name,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** A program of the world that is started, killed, and started again. */
export interface Program {
  readonly name: string;
  readonly life: Life | undefined;
  start(): Promise<void>;
  /** As kill -9. */
  kill(): void;
  /** As SIGTERM; resolves when it has ended. */
  end(): Promise<void>;
}

/** The broker, on a disk that outlives its process. */
export class SimulatedBroker implements Program {
  readonly name: string = 'broker';
  readonly #parts: Parts;
  readonly #disk: MemoryDisk;
  #running: { readonly life: Life; readonly stop: () => Promise<void> } | undefined;

  /** @param disk - what it finds at its first start. */
  constructor(parts: Parts, disk: MemoryDisk) {
    this.#parts = parts;
    this.#disk = { entities: new Map(disk.entities), messages: new Map(disk.messages) };
  }

  get life(): Life | undefined {
    return this.#running?.life;
  }

  async start(): Promise<void> {
    const life = new Life(this.name, this.#parts.clock);
    const random = this.#parts.nextRandom();
    const broker = await startBroker({
      store: new SimulatedStore(this.#disk, life, random),
      clock: life.clock,
      random,
      onFatal: (error) => this.#parts.ledger.violation(`the broker's store failed: ${String(error)}`),
    });
    this.#running = { life, stop: () => broker.stop() };
    this.#parts.network.serve(life, (stream) => broker.accept(stream));
  }

  kill(): void {
    this.#running?.life.die();
    this.#running = undefined;
  }

  async end(): Promise<void> {
    await this.#running?.stop();
    this.kill();
  }
}

/** A disk with one user on it, whose password is checked without a slow hash. */
export async function diskWithUser(): Promise<MemoryDisk> {
  const disk = emptyDisk();
  const broker = await startBroker({ store: new MemoryStore(disk) });
  const everything = { configure: ['*'], write: ['*'], read: ['*'] };
  broker.users.restore({
    name: 'torcello',
    passwordHash: rabbitHash('simulated'),
    tags: ['administrator'],
    permissions: { '/': everything },
    topicPermissions: {},
  });
  await broker.durable();
  // As it is before the stop, whose mark the first start would have to take away.
  const found = { entities: new Map(disk.entities), messages: new Map(disk.messages) };
  await broker.stop();
  return found;
}

function rabbitHash(password: string): string {
  const salt = Buffer.alloc(4, 1);
  const hash = createHash('sha256').update(salt).update(password).digest();
  return `rabbit-sha256$${Buffer.concat([salt, hash]).toString('base64')}`;
}

/** The API, on a database that outlives its process. */
export class SimulatedApi implements Program {
  readonly name: string = 'api';
  readonly database: SimulatedDatabase;
  readonly #parts: Parts;
  #running: { readonly life: Life; readonly api: Api; readonly services: ApiServices } | undefined;

  constructor(parts: Parts, database: SimulatedDatabase) {
    this.#parts = parts;
    this.database = database;
  }

  get life(): Life | undefined {
    return this.#running?.life;
  }

  /** What its routes would call. Undefined while it is away. */
  get services(): ApiServices | undefined {
    return this.#running?.services;
  }

  async start(): Promise<void> {
    const life = new Life(this.name, this.#parts.clock);
    const { api, services } = await openApi(this.database, life, this.#parts.nextRandom());
    this.#running = { life, api, services };
    // Without a broker it serves its users all the same.
    void connectTo(this.#parts, life).then((transport) => api.attach(transport));
  }

  kill(): void {
    this.#running?.life.die();
    this.#running = undefined;
  }

  async end(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.api.stop();
    running?.life.die();
  }
}

/** An API without HTTP. */
export async function openApi(
  database: SimulatedDatabase,
  life: Life,
  random: Random,
): Promise<{ readonly api: Api; readonly services: ApiServices }> {
  let services: ApiServices | undefined;
  const api = await Api.open({
    dataDirectory: secretsFolder,
    store: await database.open(life),
    makeServer: (made) => {
      services = made;
      return Promise.resolve({ close: () => Promise.resolve() } as unknown as Awaited<ReturnType<MakeServer>>);
    },
    clock: life.clock,
    random,
    logger: silentLogger,
    accounts: () => ({
      check: () => undefined,
      create: () => Promise.resolve(url),
      remove: () => Promise.resolve(),
    }),
    planKey: () => planPublicKey,
    publicUrl: 'http://api',
    timings: { leaseMs: 8_000, sweepMs: 3_000, heartbeatMs: 15_000, reconcileMs: 10_000 },
  });
  if (services === undefined) throw new TypeError('the API has no services');
  return { api, services };
}

type MakeServer = NonNullable<ApiOptions['makeServer']>;

/** A conductor. */
export class SimulatedConductor implements Program {
  readonly name: string;
  readonly #parts: Parts;
  readonly #archive: Uint8Array;
  #lives = 0;
  #running: { readonly life: Life; readonly conductor: Conductor; readonly transport: Transport } | undefined;
  #starting: Life | undefined;

  constructor(parts: Parts, name: string, archive: Uint8Array) {
    this.#parts = parts;
    this.name = name;
    this.#archive = archive;
  }

  get life(): Life | undefined {
    return this.#running?.life ?? this.#starting;
  }

  async start(): Promise<void> {
    const life = new Life(`${this.name}.${(this.#lives += 1)}`, this.#parts.clock);
    this.#starting = life;
    const transport = await connectTo(this.#parts, life);
    const conductor = new Conductor({
      transport,
      signer,
      download: () => Promise.resolve(this.#archive),
      clock: life.clock,
      random: this.#parts.nextRandom(),
      logger: silentLogger,
      holder: life.name,
    });
    this.#running = { life, conductor, transport };
    await conductor.start();
  }

  kill(): void {
    this.life?.die();
    this.#running = undefined;
    this.#starting = undefined;
  }

  async end(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return this.kill();
    this.#running = undefined;
    this.#starting = undefined;
    await running.conductor.stop();
    await running.transport.close();
    running.life.die();
  }
}

/** An agent and its machine. */
export class SimulatedAgent implements Program {
  readonly name: string;
  readonly machine: SimulatedMachine;
  readonly identity: JoinAnswer;
  readonly #parts: Parts;
  readonly #apiClock: () => number | undefined;
  #disk: SimulatedDisk;
  #running: { readonly life: Life; readonly agent: Agent } | undefined;

  /** @param parts.apiNow - the API's time; undefined while it does not answer. */
  constructor(
    parts: Parts & { readonly apiNow: () => number | undefined },
    made: { readonly machine: SimulatedMachine; readonly identity: JoinAnswer },
  ) {
    this.#parts = parts;
    this.#apiClock = parts.apiNow;
    this.machine = made.machine;
    this.identity = made.identity;
    this.name = `agent ${made.machine.name}`;
    const random = parts.nextRandom();
    this.#disk = new SimulatedDisk(() => random.fraction());
  }

  get life(): Life | undefined {
    return this.#running?.life;
  }

  async start(): Promise<void> {
    const life = new Life(this.name, this.#parts.clock);
    const random = this.#parts.nextRandom();
    const agent = new Agent({
      dataFolder: `/agents/${this.machine.name}`,
      identity: this.identity,
      agentVersion: 'simulated',
      connect: (_purpose, signal) => connectTo(this.#parts, life, signal),
      clock: life.clock,
      logger: silentLogger,
      hostEnvironment: { PATH: '', HOME: '/', LANG: 'C' },
      nodePath: 'node',
      bootId: this.machine.bootId,
      askServerTime: () => {
        const nowMs = this.#apiClock();
        if (nowMs === undefined) return Promise.reject(new Error('the API does not answer'));
        return Promise.resolve({ nowMs, errorMs: 1_000 });
      },
      journalDisk: slowDisk(this.#disk, life, random),
      stepGroups: noStepGroups,
      machine: this.machine.of(life),
      onFatal: (error) => this.#parts.ledger.violation(`${this.name} cannot go on: ${error.message}`),
    });
    this.#running = { life, agent };
    await agent.start();
  }

  kill(): void {
    this.#running?.life.die();
    this.#running = undefined;
  }

  async end(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.agent.stop();
    running?.life.die();
  }

  /** The machine loses its power: what was not synced may be gone. */
  reboot(): void {
    this.kill();
    this.#disk = this.#disk.afterPowerLoss();
    this.machine.reboot();
  }
}
