import {
  type CancelPayload,
  type Outcome,
  type PlanHeader,
  type PlanPayload,
  agentRoutingKey,
  agentsExchange,
  letterKindHeader,
} from '@torcello/contracts';
import { type Letter, type Transport, mailboxes } from '@torcello/messaging';
import type { Clock, Random } from '@torcello/platform';
import { readLetter } from '../support/letters.js';
import type { Ledger } from './ledger.js';

/** What the agent's disk holds for certain. */
type DiskRecord =
  | { readonly type: 'received'; readonly header: PlanHeader; readonly payload: PlanPayload }
  | { readonly type: 'starting' | 'ended'; readonly planId: string; readonly step: number; readonly isGood?: boolean }
  | {
      readonly type: 'ending';
      readonly planId: string;
      readonly how: 'cancelled' | 'superseded';
      readonly graceMs: number;
    }
  | { readonly type: 'finished'; readonly planId: string; readonly result: PlanResult }
  | { readonly type: 'receipt'; readonly planId: string };

export interface PlanResult {
  readonly deploymentId: string;
  readonly planId: string;
  readonly outcome: Outcome;
  readonly failedStep?: string;
}

interface KnownPlan {
  readonly header: PlanHeader | undefined;
  readonly steps: PlanPayload['steps'];
  started: number;
  ended: number;
  hasFailed: boolean;
  ending: Extract<DiskRecord, { type: 'ending' }> | undefined;
  result: PlanResult | undefined;
  isConfirmed: boolean;
}

export interface AgentSetting {
  readonly machineId: string;
  readonly mailbox: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly ledger: Ledger;
  readonly connect: () => Promise<Transport>;
}

const resendMs = 10_000;
const failureRate = 0.08;

/**
 * An agent with a simulated disk: what was not synced when it dies is lost, everything else is there when it starts
 * again. It keeps the rules of the real one: journal before action, one plan at a time, an answer for every plan.
 */
export class SimulatedAgent {
  readonly setting: AgentSetting;
  readonly #disk: DiskRecord[] = [];
  #plans = new Map<string, KnownPlan>();
  #life = 0;
  #isUp = false;
  #isBusy = false;
  #transport: Transport | undefined;
  #taking: Promise<void> = Promise.resolve();

  constructor(setting: AgentSetting) {
    this.setting = setting;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Ends of plans that its disk knows. */
  get results(): readonly PlanResult[] {
    return this.#disk.flatMap((record) => (record.type === 'finished' ? [record.result] : []));
  }

  async start(): Promise<void> {
    if (this.#isUp) return;
    const life = (this.#life += 1);
    this.#isUp = true;
    this.#isBusy = false;
    this.#plans = new Map();
    for (const record of this.#disk) this.#fold(record);
    this.setting.ledger.note(`agent ${this.setting.machineId} is up`);
    const transport = await this.setting.connect();
    if (life !== this.#life || !this.#isUp) return void transport.close();
    this.#transport = transport;
    void this.#read(life, transport);
    // What is there now is taken in before work starts.
    this.#after(1_000, () => this.#next());
    for (const [planId, plan] of this.#plans) if (plan.result !== undefined) this.#send(planId);
  }

  /** Power off: everything that is not on the disk is gone. */
  crash(): void {
    if (!this.#isUp) return;
    this.setting.ledger.note(`agent ${this.setting.machineId} dies`);
    this.#isUp = false;
    this.#life += 1;
    void this.#transport?.close();
    this.#transport = undefined;
  }

  async #read(life: number, transport: Transport): Promise<void> {
    for await (const letter of mailboxes(transport).read(this.setting.mailbox)) {
      if (life !== this.#life) return;
      this.#taking = this.#take(letter);
      await this.#taking;
    }
  }

  async #take(letter: Letter): Promise<void> {
    const kind = letter.headers[letterKindHeader];
    if (kind === 'receipt') {
      const { planId } = JSON.parse(new TextDecoder().decode(letter.body)) as { planId: string };
      if (this.#plans.has(planId)) await this.#write({ type: 'receipt', planId });
    } else if (kind === 'plan') {
      await this.#takePlan(letter.body);
    } else {
      await this.#takeCancel(letter.body);
    }
    letter.accept();
    this.#after(0, () => this.#next());
  }

  async #takePlan(bytes: Uint8Array): Promise<void> {
    const { header, payload } = readLetter(bytes);
    const { planId, deploymentId, epoch, startByMs } = header;
    const known = this.#plans.get(planId);
    if (known?.result !== undefined || known?.header !== undefined) return this.#send(planId);
    if (known?.ending !== undefined)
      return await this.#finish(planId, { deploymentId, planId, outcome: known.ending.how });
    for (const replaced of header.replaces ?? [])
      await this.#end(replaced, deploymentId, { how: 'superseded', graceMs: 0 });
    await this.#write({ type: 'received', header, payload });
    const highest = Math.max(0, ...this.#sameStage(header, payload));
    if (epoch < highest) return await this.#finish(planId, { deploymentId, planId, outcome: 'refused' });
    if (startByMs !== undefined && this.setting.clock.now() > startByMs) {
      await this.#finish(planId, { deploymentId, planId, outcome: 'expired' });
    }
  }

  /** Epochs of other plans of this deployment's stage. */
  #sameStage({ deploymentId, planId }: PlanHeader, { stage }: PlanPayload): readonly number[] {
    return this.#disk.flatMap((record) =>
      record.type === 'received' && record.payload.stage === stage && record.header.deploymentId === deploymentId
        ? record.header.planId === planId
          ? []
          : [record.header.epoch]
        : [],
    );
  }

  async #takeCancel(bytes: Uint8Array): Promise<void> {
    const { header, payload } = readLetter<CancelPayload>(bytes);
    await this.#end(header.planId, header.deploymentId, { how: 'cancelled', graceMs: payload.graceMs });
  }

  /** Ends a plan, or remembers that it must never start. */
  async #end(
    planId: string,
    deploymentId: string,
    { how, graceMs }: Pick<Extract<DiskRecord, { type: 'ending' }>, 'how' | 'graceMs'>,
  ): Promise<void> {
    const plan = this.#plans.get(planId);
    if (plan?.result !== undefined) return this.#send(planId);
    if (how === 'superseded' && plan !== undefined && plan.started > 0) return;
    await this.#write({ type: 'ending', planId, how, graceMs });
    // Nobody knows yet which deployment it belongs to: the answer waits for the plan itself.
    if (how === 'superseded' && plan?.header === undefined) return;
    const isRunning = plan !== undefined && plan.started > plan.ended;
    if (!isRunning)
      return await this.#finish(planId, {
        deploymentId: plan?.header?.deploymentId ?? deploymentId,
        planId,
        outcome: how,
      });
    this.#after(Math.min(graceMs, 2_000), async () => {
      if (plan.result !== undefined) return;
      this.setting.ledger.note(`plan ${planId} is stopped`);
      this.#isBusy = false;
      await this.#finish(planId, { deploymentId: plan?.header?.deploymentId ?? deploymentId, planId, outcome: how });
    });
  }

  #next(): void {
    if (this.#isBusy || !this.#isUp) return;
    const open = [...this.#plans].filter(([, plan]) => plan.result === undefined && plan.header !== undefined);
    const [planId, plan] = open.find(([, { started }]) => started > 0) ?? open[0] ?? [];
    if (planId === undefined || plan === undefined) return;
    this.#isBusy = true;
    void this.#run(planId, plan);
  }

  /** The next step of a plan, or its end. */
  async #run(planId: string, plan: KnownPlan): Promise<void> {
    const deploymentId = plan.header?.deploymentId ?? '';
    const outcomeOf = (outcome: Outcome): PlanResult => {
      const failedStep = outcome === 'succeeded' ? undefined : plan.steps[Math.max(0, plan.started - 1)]?.name;
      return { deploymentId, planId, outcome, ...(failedStep === undefined ? {} : { failedStep }) };
    };
    const wasCutOff = plan.started > plan.ended;
    const place = wasCutOff ? plan.started - 1 : plan.started;
    const step = plan.steps[place];
    const over = (outcome: Outcome): Promise<void> => this.#over(planId, outcomeOf(outcome));
    if (plan.ending !== undefined) return await over(plan.ending.how);
    if (plan.hasFailed) return await over('failed');
    if (step === undefined) return await over('succeeded');
    if (wasCutOff && step.onInterrupt === 'fail') return await over('interrupted');
    await this.#write({ type: 'starting', planId, step: place });
    // A cancel may have come while the disk was at work.
    if (plan.ending !== undefined) return await over((plan.ending as { readonly how: Outcome }).how);
    this.setting.ledger.started(planId, step.name, step.onInterrupt === 'rerun');
    const isGood = this.setting.random.fraction() >= failureRate;
    this.#after(this.setting.random.fraction() * 8_000, async () => {
      if (plan.result !== undefined) return;
      await this.#write({ type: 'ended', planId, step: place, isGood });
      await this.#run(planId, plan);
    });
  }

  async #over(planId: string, result: PlanResult): Promise<void> {
    await this.#finish(planId, result);
    this.#isBusy = false;
    this.#next();
  }

  async #finish(planId: string, result: PlanResult): Promise<void> {
    if (this.#plans.get(planId)?.result !== undefined) return;
    await this.#write({ type: 'finished', planId, result });
    this.setting.ledger.note(`plan ${planId} ${result.outcome}`);
    this.#send(planId);
  }

  /** Again and again, until the receipt is on the disk. */
  #send(planId: string): void {
    const plan = this.#plans.get(planId);
    const { machineId } = this.setting;
    if (plan?.result === undefined) return;
    const body = new TextEncoder().encode(JSON.stringify({ machineId, ...plan.result }));
    const to = { exchange: agentsExchange, routingKey: agentRoutingKey(machineId, 'result') };
    const message = {
      body,
      headers: {},
      properties: { messageId: `result-${planId}` },
      persistent: true,
      ifNobody: 'fail',
    } as const;
    this.#transport?.publish(to, message, { resend: true }).catch(() => undefined);
    this.#after(resendMs, () => {
      if (this.#plans.get(planId)?.isConfirmed !== true) this.#send(planId);
    });
  }

  /** Resolves when it is on the disk, and never where the machine dies before: nothing goes on then. */
  #write(record: DiskRecord): Promise<void> {
    const life = this.#life;
    return new Promise((resolve) => {
      this.setting.clock.after(1 + this.setting.random.fraction() * 20, () => {
        if (life !== this.#life) return;
        this.#disk.push(record);
        this.#fold(record);
        resolve();
      });
    });
  }

  #fold(record: DiskRecord): void {
    const planId = record.type === 'received' ? record.header.planId : record.planId;
    const before = this.#plans.get(planId) ?? blank;
    if (record.type === 'received') {
      return void this.#plans.set(planId, { ...before, header: record.header, steps: record.payload.steps });
    }
    const plan = this.#plans.get(planId) ?? { ...blank };
    this.#plans.set(planId, plan);
    if (record.type === 'starting') plan.started = record.step + 1;
    if (record.type === 'ended') Object.assign(plan, { ended: record.step + 1, hasFailed: record.isGood === false });
    if (record.type === 'ending' && plan.ending?.how !== 'cancelled') plan.ending = record;
    if (record.type === 'finished') plan.result ??= record.result;
    if (record.type === 'receipt') plan.isConfirmed = true;
  }

  #after(delayMs: number, action: () => void | Promise<void>): void {
    const life = this.#life;
    this.setting.clock.after(delayMs, () => void (life === this.#life && action()));
  }
}

const blank: KnownPlan = {
  header: undefined,
  steps: [],
  started: 0,
  ended: 0,
  hasFailed: false,
  ending: undefined,
  result: undefined,
  isConfirmed: false,
};
