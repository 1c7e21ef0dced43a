import { cancelDeployment, resumeDeployment } from '@torcello/api/testing';
import type { ApiServices } from '@torcello/api/testing';
import { checkWorld, outputFlaws } from './check.js';
import { deploymentsOf, isSettled } from './records.js';
import type { DeploymentRecord } from './records.js';
import type { Program, SimulatedAgent } from './programs.js';
import { World } from './world.js';

export interface SimulationResult {
  readonly seed: number;
  /** SHA-256 of the whole log: the same seed, the same hash. */
  readonly hash: string;
  readonly lines: readonly string[];
  readonly violations: readonly string[];
  readonly deployments: number;
  readonly faults: number;
}

const faultyMs = 20_000;
const settleMsMax = 600_000;
const settleStepMs = 2_000;
const outputMsMax = 120_000;
const dayMs = 86_400_000;

/** One run: conductors, API, agents and broker in one process, and faults among them, all by one seed. */
export async function simulate(seed: number): Promise<SimulationResult> {
  const simulation = new Simulation(seed, await World.make(seed));
  await simulation.run();
  return simulation.result();
}

class Simulation {
  readonly #seed: number;
  readonly #world: World;
  readonly #absent = new Set<SimulatedAgent>();
  readonly #environments: string[] = [];
  #faults = 0;
  #isFaulty = true;

  constructor(seed: number, world: World) {
    this.#seed = seed;
    this.#world = world;
  }

  async run(): Promise<void> {
    const world = this.#world;
    await world.clock.run(1_000);
    const environments = world.chance(0.2) ? 2 : 1;
    for (let number = 1; number <= environments; number += 1) await this.#environment(`e${number}`);
    this.#nextFault();
    await world.clock.run(faultyMs);
    await this.#heal();
    await this.#settle();
    await checkWorld(world);
    world.end();
  }

  result(): SimulationResult {
    const { hash, lines, violations } = this.#world.ledger;
    const deployments = deploymentsOf(this.#world.api.database).length;
    return { seed: this.#seed, hash, lines, violations, deployments, faults: this.#faults };
  }

  /** Machines, some of which are not there yet, and deployments to them; their user may think again. */
  async #environment(name: string): Promise<void> {
    const world = this.#world;
    const before = world.agents.length;
    const id = await world.environment(name, { db: 1, web: 1 + world.below(2) });
    this.#environments.push(id);
    for (const agent of world.agents.slice(before)) {
      const kind = world.random.fraction();
      if (kind < 0.03) this.#absent.add(agent);
      else world.clock.after(kind < 0.7 ? 0 : world.below(faultyMs * 0.7), () => this.#start(agent));
    }
    const rounds = world.chance(0.4) ? 2 : 1;
    for (let round = 0; round < rounds; round += 1) {
      world.clock.after(world.below(round === 0 ? 3_000 : faultyMs * 0.6), () =>
        this.#ask('deploy', (services) => this.#deploy(services, id)),
      );
    }
    if (world.chance(0.3)) this.#later(() => this.#cancelOne());
    for (let attempt = 0; attempt < 2; attempt += 1) this.#later(() => this.#resumeOne());
  }

  #later(action: () => void): void {
    this.#world.clock.after(3_000 + this.#world.below(faultyMs - 3_000), action);
  }

  /** A user's request: refused, lost with the API, or answered. */
  #ask(what: string, request: (services: ApiServices) => Promise<unknown>): void {
    const { services } = this.#world.api;
    if (services === undefined) return;
    request(services).then(
      (answer) => this.#world.ledger.note(`${what} ${typeof answer === 'string' ? answer : ''}`),
      (error: unknown) => this.#world.ledger.note(`${what} refused: ${(error as { code?: string }).code ?? ''}`),
    );
  }

  async #deploy(services: ApiServices, environmentId: string): Promise<string> {
    const world = this.#world;
    const environment = await services.environments.find(environmentId);
    const session = await services.environments.configure(environmentId);
    await services.environments.stage(environment, session.id, () => [{ '?': { id: 'app', type: 'sim.App' } }]);
    const bound = world.chance(0.3) ? { deliverWithinMs: 15_000 + world.below(60_000) } : {};
    const key = world.chance(0.5) ? { supersedes: 'latest' } : {};
    return await services.environments.deploy(environmentId, session.id, { ...bound, ...key });
  }

  #one(isIt: (deployment: DeploymentRecord) => boolean): DeploymentRecord | undefined {
    const all = deploymentsOf(this.#world.api.database).filter(isIt);
    return all[this.#world.below(Math.max(1, all.length))];
  }

  #cancelOne(): void {
    const one = this.#one(({ finished_at }) => finished_at === null);
    if (one !== undefined) this.#cancel(one.id);
  }

  #cancel(deploymentId: string): void {
    const graceMs = this.#world.below(5_000);
    this.#ask(`cancel ${deploymentId}`, (services) => cancelDeployment(services, { deploymentId, graceMs }));
  }

  #resumeOne(): void {
    const one = this.#one(({ finished_at }) => finished_at !== null);
    if (one === undefined) return;
    const order = { deploymentId: one.id, packages: {} };
    this.#ask(`resume ${one.id}`, (services) => resumeDeployment(services, order));
  }

  #nextFault(): void {
    const world = this.#world;
    world.clock.after(200 + world.below(3_000), () => {
      if (!this.#isFaulty) return;
      this.#faults += 1;
      const [fault = 'cut'] = faults.slice(world.below(faults.length));
      world.ledger.note(`fault ${fault}`);
      this.#strike(fault);
      this.#nextFault();
    });
  }

  #strike(fault: (typeof faults)[number]): void {
    const world = this.#world;
    const { broker, api, network, conductors } = world;
    const agent = world.agents[world.below(world.agents.length)];
    const conductor = conductors[world.below(conductors.length)];
    const program = world.chance(0.3) ? api : world.chance(0.5) ? conductor : agent;
    if (fault === 'cut') network.cut(world.chance(0.5) ? program?.life : undefined);
    if (fault === 'hold') network.hold(world.below(12_000));
    if (fault === 'halfOpen') network.halfOpen();
    if (fault === 'broker') this.#kill(broker);
    if (fault === 'api') this.#kill(api);
    if (fault === 'end') this.#end(world.chance(0.5) ? conductor : program);
    if (fault === 'conductor') this.#kill(conductor);
    if (fault === 'agent') this.#kill(agent);
    if (fault === 'freeze') program?.life?.freeze(world.below(12_000));
    if (fault === 'clock') this.#setClock(program);
    if (fault === 'reboot' && agent?.life !== undefined) {
      agent.reboot();
      this.#restart(agent);
    }
  }

  #setClock(program: Program | undefined): void {
    const life = program?.life;
    if (life === undefined) return;
    // The API's clock is everybody's measure: it is set by less than any bound.
    life.setClock((this.#world.random.fraction() - 0.5) * (program === this.#world.api ? 2_000 : dayMs));
    this.#world.clock.after(this.#world.below(12_000), () => life.setClock(0));
  }

  #kill(program: Program | undefined): void {
    if (program?.life === undefined) return;
    this.#world.ledger.note(`${program.name} dies`);
    program.kill();
    this.#restart(program);
  }

  #end(program: Program | undefined): void {
    const life = program?.life;
    if (program === undefined || life === undefined) return;
    this.#world.ledger.note(`${program.name} is told to end`);
    void program.end();
    // Who cannot end in time is killed.
    this.#world.clock.after(12_000, () => {
      life.die();
      this.#start(program);
    });
  }

  #restart(program: Program): void {
    this.#world.clock.after(100 + this.#world.below(8_000), () => this.#start(program));
  }

  #start(program: Program): void {
    if (program.life?.isAlive === true) return;
    this.#world.ledger.note(`${program.name} starts`);
    program.start().catch((error: unknown) => {
      // It was told to end while it was starting.
      const wasEnded = (error as { readonly code?: string }).code === 'ABORTED';
      if (!wasEnded) this.#world.ledger.violation(`${program.name} did not start: ${String(error)}`);
    });
  }

  /** No more faults. Machines that never came stay away, and their deployments are ended by their user. */
  async #heal(): Promise<void> {
    const world = this.#world;
    world.ledger.note('healed');
    this.#isFaulty = false;
    // Whoever is about to end, to thaw or to start does so.
    await world.clock.run(15_000);
    for (const program of [world.broker, world.api, ...world.conductors]) this.#start(program);
    for (const agent of world.agents) if (!this.#absent.has(agent)) this.#start(agent);
    if (this.#absent.size === 0) return;
    await world.clock.run(60_000);
    for (const { id, finished_at } of deploymentsOf(world.api.database)) if (finished_at === null) this.#cancel(id);
  }

  async #settle(): Promise<void> {
    const { clock, ledger, api } = this.#world;
    const away = new Set([...this.#absent].map(({ identity }) => identity.machineId));
    for (let waitedMs = 0; !isSettled(api.database, { away, ledger }); waitedMs += settleStepMs) {
      if (waitedMs >= settleMsMax) {
        const open = deploymentsOf(api.database).filter(({ finished_at }) => finished_at === null);
        return ledger.violation(`stuck: ${open.map(({ id }) => id).join(', ')} or their plans`);
      }
      await clock.run(settleStepMs);
    }
    // Output may still be on its way, and a connection that is half open is found out after two heartbeats.
    for (let waitedMs = 0; waitedMs < outputMsMax; waitedMs += settleStepMs) {
      await clock.run(settleStepMs);
      if ((await outputFlaws(this.#world)).length === 0) return;
    }
  }
}

const faults = [
  'cut',
  'hold',
  'halfOpen',
  'broker',
  'api',
  'end',
  'conductor',
  'agent',
  'freeze',
  'clock',
  'reboot',
] as const;
