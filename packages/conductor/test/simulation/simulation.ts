import { type DeploymentModel, type Stage, apply, decide, emptyDeployment } from '@torcello/contracts';
import { type Transport, connect, mailboxes, memoryDriver } from '@torcello/messaging';
import { MemoryBroker } from '@torcello/messaging/testing';
import { silentLogger } from '@torcello/platform';
import { SimulatedClock, seededRandom } from '@torcello/platform/testing';
import { Conductor, planSigner } from '../../src/index.js';
import { exampleModel, testKey } from '../support/world.js';
import { zip } from '../support/zip.js';
import { SimulatedAgent } from './agent.js';
import { ControlPlane } from './control-plane.js';
import { Ledger } from './ledger.js';

export interface SimulationResult {
  readonly seed: number;
  /** SHA-256 of the whole log: the same seed, the same hash. */
  readonly hash: string;
  readonly lines: readonly string[];
  readonly violations: readonly string[];
  readonly deployments: number;
  readonly faults: number;
}

const faultyMs = 120_000;
const settleMsMax = 900_000;

/** One run: conductors, the API's side, agents and a broker in one process, and faults among them, all by one seed. */
export async function simulate(seed: number): Promise<SimulationResult> {
  const simulation = new Simulation(seed);
  await simulation.run();
  return simulation.result();
}

class Simulation {
  readonly #seed: number;
  readonly #clock = new SimulatedClock();
  readonly #random;
  readonly #ledger = new Ledger(this.#clock);
  readonly #broker = new MemoryBroker(this.#clock);
  readonly #driver = memoryDriver({ broker: this.#broker });
  readonly #agents: SimulatedAgent[] = [];
  readonly #absent = new Set<SimulatedAgent>();
  readonly #conductors: (Running | undefined)[] = [undefined, undefined];
  readonly #done: Transport[] = [];
  #plane!: ControlPlane;
  #transport!: Transport;
  #connections = 0;
  #holders = 0;
  #faults = 0;
  #isFaulty = true;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = seededRandom(seed);
  }

  async run(): Promise<void> {
    this.#transport = await this.#connect();
    const { clock, random, ledger } = this.#parts();
    this.#plane = new ControlPlane({ transport: this.#transport, clock, random, ledger });
    await this.#plane.start();
    for (const slot of this.#conductors.keys()) await this.#startConductor(slot);
    const environments = 1 + this.#below(2);
    for (let number = 1; number <= environments; number += 1) await this.#environment(`e${number}`);
    this.#nextFault();
    await this.#clock.advance(faultyMs);
    this.#heal();
    await this.#untilSettled();
    this.#check();
    await this.#stop();
  }

  result(): SimulationResult {
    const { hash, lines, violations } = this.#ledger;
    const deployments = this.#plane.deployments.length;
    return { seed: this.#seed, hash, lines, violations, deployments, faults: this.#faults };
  }

  #parts(): { clock: SimulatedClock; random: ReturnType<typeof seededRandom>; ledger: Ledger } {
    return { clock: this.#clock, random: this.#random, ledger: this.#ledger };
  }

  #below(limit: number): number {
    return Math.floor(this.#random.fraction() * limit);
  }

  #chance(rate: number): boolean {
    return this.#random.fraction() < rate;
  }

  #connect(): Promise<Transport> {
    const random = seededRandom(this.#seed * 1_000 + (this.#connections += 1));
    return connect('memory:', { drivers: [this.#driver], clock: this.#clock, random, heartbeatMs: 0 });
  }

  async #startConductor(slot: number): Promise<void> {
    const holder = `conductor-${(this.#holders += 1)}`;
    const random = seededRandom(this.#seed * 7_919 + this.#holders);
    const transport = await this.#connect();
    const download = async (): Promise<Uint8Array> => archive;
    const world = { clock: this.#clock, random, logger: silentLogger };
    const conductor = new Conductor({ transport, signer, download, holder, ...world });
    this.#conductors[slot] = { holder, conductor, transport };
    this.#ledger.note(`${holder} starts`);
    await conductor.start();
  }

  /** Machines, some of which are not there yet, and a deployment to them; a user may think again. */
  async #environment(id: string): Promise<void> {
    const machines = { db: 1, web: 1 + this.#below(5) };
    const { model, stages } = exampleModel({ id, example: '', machines, archive, properties: {} });
    for (const { id: machineId, mailbox } of model.machines) {
      await mailboxes(this.#transport).open(mailbox);
      const agent = new SimulatedAgent({ machineId, mailbox, ...this.#parts(), connect: () => this.#connect() });
      this.#agents.push(agent);
      const kind = this.#random.fraction();
      if (kind < 0.05) this.#absent.add(agent);
      else this.#clock.after(kind < 0.6 ? 0 : this.#below(faultyMs), () => void agent.start());
    }
    this.#clock.after(this.#below(10_000), () => this.#deploy(id, 1, { model, stages }));
  }

  #deploy(environment: string, number: number, base: Base): void {
    const deploymentId = `${environment}-${number}`;
    const startByMs = this.#clock.now() + 20_000 + this.#below(100_000);
    const bound = this.#chance(0.3) ? { startByMs } : {};
    const old = this.#plane.deployments.at(-1);
    const isSuperseding = number > 1 && old?.startsWith(`${environment}-`) === true;
    const replaces = isSuperseding ? { replaces: this.#supersede(old, deploymentId) } : {};
    this.#plane.accept({ ...base.model, deploymentId, ...bound, ...replaces }, base.stages);
    if (this.#chance(0.3)) this.#clock.after(this.#below(40_000), () => this.#cancel(deploymentId));
    if (number < 3 && this.#chance(0.3)) {
      this.#clock.after(this.#below(60_000), () => this.#deploy(environment, number + 1, base));
    }
    this.#resumeLater(deploymentId);
  }

  /** The open plans of the older deployment, by machine; its claim to run ends here. */
  #supersede(old: string, by: string): Record<string, readonly string[]> {
    const { api } = this.#plane;
    if (api.state(old).result === undefined) api.write(old, { type: 'supersedeRequested', by });
    this.#plane.hint(old);
    const replaces: Record<string, string[]> = {};
    for (const { planId, machine } of api.open(old)) (replaces[machine] ??= []).push(planId);
    return replaces;
  }

  #cancel(deploymentId: string): void {
    const { api } = this.#plane;
    if (api.state(deploymentId).result !== undefined) return;
    this.#ledger.note(`cancel ${deploymentId}`);
    api.write(deploymentId, { type: 'cancelRequested', graceMs: this.#below(5_000) });
    this.#plane.hint(deploymentId);
  }

  #resumeLater(deploymentId: string): void {
    this.#clock.after(20_000 + this.#below(60_000), () => {
      const { result, supersededBy } = this.#plane.api.state(deploymentId);
      const isLatest = this.#plane.deployments.every(
        (id) => id <= deploymentId || !id.startsWith(deploymentId.slice(0, 3)),
      );
      const isOver = result === 'failed' || result === 'cancelled';
      if (!isOver || supersededBy !== undefined || !isLatest || !this.#isFaulty || !this.#chance(0.5)) return;
      this.#ledger.note(`resume ${deploymentId}`);
      this.#plane.api.resume(deploymentId);
      this.#plane.hint(deploymentId);
    });
  }

  #nextFault(): void {
    this.#clock.after(500 + this.#below(12_000), () => {
      if (!this.#isFaulty) return;
      this.#faults += 1;
      const [fault] = faults.slice(this.#below(faults.length));
      this.#ledger.note(`fault ${String(fault)}`);
      this.#strike(fault);
      this.#nextFault();
    });
  }

  #strike(fault: Fault | undefined): void {
    if (fault === 'cut') this.#broker.cut();
    if (fault === 'swallow') this.#broker.swallowConfirms(1 + this.#below(3));
    if (fault === 'block') this.#block(this.#below(20_000));
    if (fault === 'api') void this.#plane.leave(this.#below(60_000));
    if (fault === 'conductor') this.#killConductor(this.#below(this.#conductors.length));
    if (fault === 'stop') this.#stopConductor(this.#below(this.#conductors.length));
    if (fault === 'agent') this.#killAgent(this.#agents[this.#below(this.#agents.length)]);
    if (fault === 'hints') for (const id of this.#plane.deployments) this.#plane.hint(id);
  }

  #block(durationMs: number): void {
    this.#broker.block(true);
    this.#clock.after(durationMs, () => this.#broker.block(false));
  }

  /** Its connection breaks for good before it can say a word. */
  #killConductor(slot: number): void {
    const running = this.#conductors[slot];
    if (running === undefined) return;
    this.#ledger.note(`${running.holder} dies`);
    this.#conductors[slot] = undefined;
    void running.transport.close();
    void running.conductor.stop();
    this.#clock.after(this.#below(20_000), () => void this.#startConductor(slot).catch(() => undefined));
  }

  /** Told to end, it hands over. */
  #stopConductor(slot: number): void {
    const running = this.#conductors[slot];
    if (running === undefined) return;
    this.#ledger.note(`${running.holder} is told to end`);
    this.#conductors[slot] = undefined;
    this.#done.push(running.transport);
    void running.conductor.stop().then(() => running.transport.close());
    this.#clock.after(this.#below(20_000), () => void this.#startConductor(slot).catch(() => undefined));
  }

  #killAgent(agent: SimulatedAgent | undefined): void {
    if (agent?.isUp !== true) return;
    agent.crash();
    this.#clock.after(100 + this.#below(40_000), () => void agent.start());
  }

  /** No more faults; machines that never came stay away, and their deployments are ended by their user. */
  #heal(): void {
    this.#ledger.note('healed');
    this.#isFaulty = false;
    this.#plane.isFaulty = false;
    this.#broker.block(false);
    this.#clock.after(120_000, () => {
      for (const id of this.#absent.size > 0 ? this.#plane.deployments : []) this.#cancel(id);
    });
  }

  async #untilSettled(): Promise<void> {
    for (let waitedMs = 0; !this.#isSettled(); waitedMs += 5_000) {
      if (waitedMs >= settleMsMax) {
        const open = this.#plane.deployments.filter((id) => !this.#isOver(id));
        return this.#ledger.violation(`stuck: ${open.join(', ')}`);
      }
      await this.#clock.advance(5_000);
    }
  }

  #isSettled(): boolean {
    return this.#clock.monotonicMs() >= faultyMs + 30_000 && this.#plane.deployments.every((id) => this.#isOver(id));
  }

  /** It has ended, and so has every plan that somebody can still tell about. */
  #isOver(id: string): boolean {
    const { api } = this.#plane;
    const { result } = api.state(id);
    if (result === undefined) return false;
    const away = new Set([...this.#absent].map(({ setting }) => setting.machineId));
    const open = api.open(id).filter(({ machine }) => !away.has(machine));
    return result === 'superseded' ? open.every(({ planId }) => !this.#ledger.hasStarted(planId)) : open.length === 0;
  }

  #check(): void {
    const { api, deployments } = this.#plane;
    for (const id of deployments) {
      for (const event of api.events(id)) this.#ledger.note(`${id} ${JSON.stringify(event)}`);
      this.#checkReplay(id);
      for (const { planId } of api.open(id)) if (this.#resultOf(planId) !== undefined) this.#lost(planId);
    }
    const { epochs } = api;
    const isFenced = epochs.every(({ id, epoch }, at) =>
      epochs.slice(0, at).every((earlier) => earlier.id !== id || earlier.epoch <= epoch),
    );
    if (!isFenced) this.#ledger.violation('overlapping leases: an older epoch wrote after a newer one');
  }

  #lost(planId: string): void {
    this.#ledger.violation(`lost: the result of ${planId}`);
  }

  #resultOf(planId: string): unknown {
    return this.#agents.flatMap(({ results }) => results).find((result) => result.planId === planId);
  }

  /** Every decision in a history is one that its events explain, and no machine has two open plans of one stage. */
  #checkReplay(id: string): void {
    let state = emptyDeployment;
    for (const event of this.#plane.api.events(id)) {
      const intents = event.type === 'accepted' ? [] : decide(state);
      if (event.type === 'planScheduled') {
        const { machine, stage } = event.plan;
        const isDecided = intents.some(
          (intent) => intent.do === 'schedule' && intent.machine === machine && intent.stage === stage,
        );
        if (!isDecided) this.#ledger.violation(`${id}: nobody decided to plan ${machine} in ${stage}`);
      }
      if (event.type === 'finished' && intents[0]?.do !== 'finish') this.#ledger.violation(`${id}: ended too early`);
      state = apply(state, event);
    }
  }

  async #stop(): Promise<void> {
    for (const agent of this.#agents) agent.crash();
    for (const running of this.#conductors) {
      if (running === undefined) continue;
      void running.transport.close();
      void running.conductor.stop();
    }
    await this.#transport.close();
    await this.#clock.advance(0);
  }
}

interface Running {
  readonly holder: string;
  readonly conductor: Conductor;
  readonly transport: Transport;
}

interface Base {
  readonly model: DeploymentModel;
  readonly stages: readonly Stage[];
}

type Fault = (typeof faults)[number];
const faults = ['cut', 'swallow', 'block', 'api', 'conductor', 'conductor', 'stop', 'agent', 'agent', 'hints'] as const;

const signer = planSigner(testKey);
const application = `
machines: { db: {}, web: {} }
deploy:
  - role: db
    steps:
      - { name: prepare, command: ["true"] }
      - { name: start, command: ["true"], onInterrupt: rerun }
  - role: web
    needs: [db]
    batch: 2
    failuresMax: 1
    gate: { steps: [{ name: alive, command: ["true"], onInterrupt: rerun }] }
    steps:
      - { name: prepare, command: ["true"] }
      - { name: start, command: ["true"], onInterrupt: rerun }
`;
const archive = zip({ 'application.yaml': application }, { isStored: true });
