import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type DeploymentMachine,
  type DeploymentModel,
  type DeploymentService,
  type PackageFix,
  type PlanHeader,
  type PlanLetter,
  type PlanPayload,
  isMuranoQueue,
  limits,
  nextStamp,
  parseStageAddress,
} from '@torcello/contracts';
import { type Clock, type Random, hexId } from '@torcello/platform';
import { CompileError } from '../compile/compile-error.js';
import { ServiceCompiler } from '../compile/service-compiler.js';
import { muranoPlan } from '../murano/murano-plan.js';
import type { PackageStore } from '../packages/package-store.js';
import type { PlanSigner } from '../sign.js';
import type { FoundLetter, WantedLetter } from './letters.js';

/** A plan that is ready for the history and the mailbox. */
export interface SealedPlan {
  readonly letter: PlanLetter;
  readonly mailbox: string;
  readonly bytes: Uint8Array;
}

export interface PlannerOptions {
  readonly model: DeploymentModel;
  readonly epoch: number;
  readonly packages: PackageStore;
  readonly signer: PlanSigner;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Which plan is wanted. */
export interface PlanOrder {
  readonly stage: string;
  /** Id of the machine. */
  readonly machine: string;
  readonly fromStep?: string;
}

/** Plans between two turns of the event loop, so that leases are renewed while 5,000 plans are made. */
const plansPerTurn = 25;

/** Makes the plans of one deployment: compiles, signs, measures. */
export class Planner {
  readonly #options: PlannerOptions;
  readonly #compilers = new Map<string, ServiceCompiler>();
  readonly #machines: ReadonlyMap<string, DeploymentMachine>;
  /** The last Stamp that was given, by machine. */
  readonly #stamps = new Map<string, number>();
  #made = 0;

  constructor(options: PlannerOptions) {
    this.#options = options;
    this.#machines = new Map(options.model.machines.map((machine) => [machine.id, machine]));
  }

  /**
   * Makes all these plans once and forgets them, so that a deployment which cannot be carried out is found out before
   * anything of it has left the house.
   * @throws CompileError; any other error when the package could not be fetched just now.
   */
  async check(orders: readonly PlanOrder[]): Promise<void> {
    for (const order of orders) await this.plan(order);
  }

  /** @throws Error when the model does not show a package that the history says was corrected. */
  checkFixes(fixes: readonly PackageFix[]): void {
    const missing = fixes.find(({ serviceId, packageId }) =>
      this.#options.model.services.some((service) => service.id === serviceId && service.package.id !== packageId),
    );
    if (missing === undefined) return;
    throw new Error(`the claim shows another package of service ${missing.serviceId} than the resume named`);
  }

  /** The letter that ends a plan. Undefined when the deployment does not have the machine (any more). */
  cancel({
    planId,
    machine,
    graceMs,
  }: Extract<WantedLetter, { kind: 'cancel' }>): FoundLetter | 'needsNone' | undefined {
    const { signer } = this.#options;
    const known = this.#machines.get(machine);
    if (known === undefined) return undefined;
    if (isMuranoQueue(known.mailbox)) return 'needsNone';
    const header = { kind: 'cancel', ...this.#header(planId, known) } as const;
    return { mailbox: known.mailbox, bytes: signer.seal(header, { format: 'torcello/1', planId, graceMs }) };
  }

  /** @throws CompileError; any other error when the package could not be fetched just now. */
  async plan(order: PlanOrder): Promise<SealedPlan> {
    const service = this.#serviceOf(order.stage);
    try {
      return await this.#plan(service, order);
    } catch (error) {
      throw error instanceof CompileError ? error.about(`${service.type} (${service.id})`) : error;
    }
  }

  async #plan(service: DeploymentService, order: PlanOrder): Promise<SealedPlan> {
    const { signer, random, signal } = this.#options;
    const { stage, fromStep } = order;
    const machine = this.#machines.get(order.machine);
    if (machine === undefined) throw unknownMachine(order.machine);
    const compiler = await this.#compilerOf(service);
    this.#made += 1;
    if (this.#made % plansPerTurn === 0) await nextTurn();
    signal.throwIfAborted();
    const planId = hexId(random);
    const from = fromStep === undefined ? {} : { fromStep };
    const payload = compiler.compile({ planId, stage, machine, ...from });
    const bytes = isMuranoQueue(machine.mailbox)
      ? this.#muranoPlan(payload, machine)
      : signer.seal({ ...this.#header(planId, machine), ...this.#bounds(machine) }, payload);
    if (bytes.length > limits.planBytesMax.value) throw tooLarge(bytes.length, machine);
    const digest = createHash('sha256').update(bytes).digest('hex');
    return { letter: { planId, machine: machine.id, stage, digest, ...from }, mailbox: machine.mailbox, bytes };
  }

  #muranoPlan(payload: PlanPayload, { id, stampAfter = 0 }: DeploymentMachine): Uint8Array {
    const { clock, model } = this.#options;
    const stamp = nextStamp(clock.now(), Math.max(stampAfter, this.#stamps.get(id) ?? 0));
    this.#stamps.set(id, stamp);
    return muranoPlan({
      payload,
      stamp,
      ...(model.startByMs === undefined ? {} : { startByMs: model.startByMs }),
    });
  }

  /** Whether the agent of a machine takes plans only in the order of their Stamps. */
  isOrdered(machine: string): boolean {
    return isMuranoQueue(this.#machines.get(machine)?.mailbox ?? '');
  }

  #header(planId: string, { id, mailbox, enrolment }: DeploymentMachine): PlanHeaderFields {
    const { model, epoch } = this.#options;
    return { planId, deploymentId: model.deploymentId, machineId: id, mailbox, enrolment, epoch };
  }

  /** Until when the plan may start, and which plans of superseded deployments it takes the place of. */
  #bounds({ id }: DeploymentMachine): Pick<PlanHeader, 'startByMs' | 'replaces'> {
    const { startByMs, replaces: byMachine } = this.#options.model;
    const replaces = byMachine?.[id] ?? [];
    return {
      ...(startByMs === undefined ? {} : { startByMs }),
      ...(replaces.length === 0 ? {} : { replaces }),
    };
  }

  #serviceOf(stage: string): DeploymentService {
    const { serviceId } = parseStageAddress(stage);
    const service = this.#options.model.services.find(({ id }) => id === serviceId);
    if (service !== undefined) return service;
    throw new CompileError(
      'STAGE_UNKNOWN',
      { file: 'deployment' },
      {
        problem: `stage "${stage}" belongs to no application of the environment`,
        cure: 'deploy the environment again',
      },
    );
  }

  async #compilerOf(service: DeploymentService): Promise<ServiceCompiler> {
    const known = this.#compilers.get(service.id);
    if (known !== undefined) return known;
    const { packages, model, signal } = this.#options;
    const content = await packages.get(model, service, signal);
    const compiler = new ServiceCompiler(model, service, content);
    this.#compilers.set(service.id, compiler);
    return compiler;
  }
}

type PlanHeaderFields = Omit<PlanHeader, 'kid' | 'kind' | 'startByMs' | 'replaces'>;

function unknownMachine(machineId: string): CompileError {
  return new CompileError(
    'MACHINE_UNKNOWN',
    { file: 'deployment' },
    {
      problem: `machine ${machineId} is not in the environment`,
      cure: 'deploy the environment again',
    },
  );
}

function tooLarge(sizeBytes: number, machine: DeploymentMachine): CompileError {
  return new CompileError(
    'PLAN_TOO_LARGE',
    { file: 'application.yaml' },
    {
      problem: `the plan for ${machine.name} has ${sizeBytes} bytes, at most ${limits.planBytesMax.value} are allowed (planBytesMax)`,
      cure: 'make the files of the stage smaller, or let a script fetch them',
    },
  );
}
