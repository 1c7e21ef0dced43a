import { generateKeyPairSync } from 'node:crypto';
import { parseJoinLine } from '@torcello/contracts/agent';
import type { Random } from '@torcello/platform';
import { seededRandom } from '@torcello/platform/testing';
import { zipSync } from 'fflate';
import type { MemoryDisk } from '@torcello/broker';
import { SimulatedDatabase } from './database.js';
import { Ledger } from './ledger.js';
import { SimulatedMachine, policies } from './machine.js';
import { SimulatedNetwork } from './network.js';
import {
  SimulatedAgent,
  SimulatedApi,
  SimulatedBroker,
  SimulatedConductor,
  diskWithUser,
  openApi,
} from './programs.js';
import type { Parts } from './programs.js';
import { Life, WorldClock } from './world-clock.js';

const step = (name: string): object => {
  const onInterrupt = policies[name];
  const command = ['work'];
  return { name, command, onInterrupt, ...(onInterrupt === 'check' ? { check: ['probe'] } : {}) };
};
const application = {
  machines: { db: {}, web: {} },
  deploy: [
    { role: 'db', steps: ['start', 'prepare'].map(step) },
    {
      role: 'web',
      needs: ['db'],
      batch: 2,
      failuresMax: 1,
      gate: { steps: [{ ...step('alive'), onInterrupt: undefined }] },
      steps: ['start', 'join', 'prepare'].map(step),
    },
  ],
};
const manifest = { Format: 'Torcello/1.0', Type: 'Application', FullName: 'sim.App', Name: 'App', Version: '1.0.0' };
const text = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** The one package of every world; stored, not deflated, so that reading it needs no other thread. */
const archive: Uint8Array = zipSync(
  { 'manifest.yaml': text(manifest), 'application.yaml': text(application) },
  { level: 0, mtime: '2026-01-01' },
);
const agentKey = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();

/** What all worlds begin with; made once a process. */
interface Beginning {
  readonly database: SimulatedDatabase;
  readonly brokersDisk: MemoryDisk;
}
let beginning: Promise<Beginning> | undefined;

async function makeBeginning(): Promise<Beginning> {
  const database = new SimulatedDatabase();
  const life = new Life('first api', new WorldClock());
  const { services } = await openApi(database, life, seededRandom(1));
  await services.catalog.import(archive);
  life.die();
  return { database, brokersDisk: await diskWithUser() };
}

/** Broker, API, conductors and machines of one run. */
export class World {
  readonly clock: WorldClock = new WorldClock();
  readonly ledger: Ledger = new Ledger(this.clock);
  readonly random: Random;
  readonly network: SimulatedNetwork;
  readonly broker: SimulatedBroker;
  readonly api: SimulatedApi;
  readonly conductors: readonly SimulatedConductor[];
  readonly agents: SimulatedAgent[] = [];
  readonly #parts: Parts;

  private constructor(seed: number, from: Beginning) {
    let sources = 0;
    const nextRandom = (): Random => seededRandom(seed * 7_919 + (sources += 1) * 104_729);
    this.random = nextRandom();
    this.network = new SimulatedNetwork(this.clock, nextRandom());
    this.#parts = { clock: this.clock, network: this.network, ledger: this.ledger, nextRandom };
    this.broker = new SimulatedBroker(this.#parts, from.brokersDisk);
    this.api = new SimulatedApi(this.#parts, SimulatedDatabase.copyOf(from.database));
    this.conductors = ['c1', 'c2'].map((name) => new SimulatedConductor(this.#parts, name, archive));
  }

  /** Broker, API and conductors run when it resolves; machines are added. */
  static async make(seed: number): Promise<World> {
    beginning ??= makeBeginning();
    const world = new World(seed, await beginning);
    await world.broker.start();
    await world.api.start();
    for (const conductor of world.conductors) void conductor.start();
    return world;
  }

  /** An environment with its machines, each with an agent that has joined and does not run yet. Answers its id. */
  async environment(name: string, machines: Readonly<Record<string, number>>): Promise<string> {
    const { services } = this.api;
    if (services === undefined) throw new TypeError('the API is away');
    const environment = await services.environments.create(name);
    for (const [role, count] of Object.entries(machines)) {
      for (const made of await services.machines.add(environment, { role, count })) {
        const machine = made.row.id;
        const token = parseJoinLine(made.joinLine)?.token ?? '';
        const request = { machine, token, publicKey: agentKey, agentVersion: '1', hostname: 'h' };
        const identity = await services.joins.join(request);
        const parts = { ...this.#parts, apiNow: () => this.api.life?.clock.now() };
        const random = this.#parts.nextRandom();
        const { clock, ledger } = this;
        const simulated = new SimulatedMachine({ name: `${name}-${made.row.name}`, clock, random, ledger });
        this.agents.push(new SimulatedAgent(parts, { machine: simulated, identity }));
      }
    }
    return environment.id;
  }

  below(limit: number): number {
    return Math.floor(this.random.fraction() * limit);
  }

  chance(rate: number): boolean {
    return this.random.fraction() < rate;
  }

  /** Every process of it dies. */
  end(): void {
    for (const program of [...this.agents, ...this.conductors, this.api, this.broker]) program.kill();
  }
}
