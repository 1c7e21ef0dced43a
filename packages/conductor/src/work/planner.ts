import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type DeploymentMachine,
  type DeploymentModel,
  type DeploymentService,
  type PlanLetter,
  type Stage,
  limits,
} from '@torcello/contracts';
import { type Random, hexId } from '@torcello/platform';
import { CompileError } from '../compile/compile-error.js';
import { ServiceCompiler } from '../compile/service-compiler.js';
import type { PackageStore } from '../packages/package-store.js';
import type { PlanSigner } from '../sign.js';

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
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Plans between two turns of the event loop, so that leases are renewed while 5,000 plans are made. */
const plansPerTurn = 25;

/** Makes the plans of one deployment: compiles, signs, measures. */
export class Planner {
  readonly #options: PlannerOptions;
  readonly #compilers = new Map<string, ServiceCompiler>();
  readonly #machines: ReadonlyMap<string, DeploymentMachine>;
  #made = 0;

  constructor(options: PlannerOptions) {
    this.#options = options;
    this.#machines = new Map(options.model.machines.map((machine) => [machine.id, machine]));
  }

  /**
   * Makes every plan of every stage once and forgets it, so that a deployment which cannot be carried out is found out
   * before anything of it has left the house.
   * @throws CompileError; any other error when the package could not be fetched just now.
   */
  async check(stages: readonly Stage[]): Promise<void> {
    for (const stage of stages) {
      for (const machine of stage.machines) await this.plan(stage.name, machine);
    }
  }

  /** @throws CompileError; any other error when the package could not be fetched just now. */
  async plan(stage: string, machineId: string): Promise<SealedPlan> {
    const service = this.#serviceOf(stage);
    try {
      return await this.#plan(service, stage, machineId);
    } catch (error) {
      throw error instanceof CompileError ? error.about(`${service.type} (${service.id})`) : error;
    }
  }

  async #plan(service: DeploymentService, stage: string, machineId: string): Promise<SealedPlan> {
    const { model, signer, epoch, random, signal } = this.#options;
    const machine = this.#machines.get(machineId);
    if (machine === undefined) throw unknownMachine(machineId);
    const compiler = await this.#compilerOf(service);
    this.#made += 1;
    if (this.#made % plansPerTurn === 0) await nextTurn();
    signal.throwIfAborted();
    const planId = hexId(random);
    const payload = compiler.compile({ planId, stage, machine });
    const { id, mailbox, enrolment } = machine;
    const bytes = signer.seal(
      { planId, deploymentId: model.deploymentId, machineId: id, mailbox, enrolment, epoch },
      payload,
    );
    if (bytes.length > limits.planBytesMax.value) throw tooLarge(bytes.length, machine);
    const digest = createHash('sha256').update(bytes).digest('hex');
    return { letter: { planId, machine: id, stage, digest }, mailbox, bytes };
  }

  #serviceOf(stage: string): DeploymentService {
    const id = stage.slice(0, stage.lastIndexOf('/'));
    const service = this.#options.model.services.find((candidate) => candidate.id === id);
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
