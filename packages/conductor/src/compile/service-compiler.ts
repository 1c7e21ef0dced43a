import {
  type DeploymentMachine,
  type DeploymentModel,
  type DeploymentService,
  type PlanPayload,
  type PlanStep,
  parseStageAddress,
} from '@torcello/contracts';
import { FileCompiler } from './compile-files.js';
import { compileStep } from './compile-step.js';
import { type StageStep, stepsFrom, stepsOf } from './stage-steps.js';
import { Expressions } from './expressions.js';
import type { PackageContent } from './package-content.js';
import { type Scope, machineScope, serviceScope } from './scope.js';
import { Templates } from './templates.js';
import type { TextReader } from './text.js';

/** Which plan is wanted: a stage of the application, for one machine. */
export interface PlanOrder {
  readonly planId: string;
  /** The full name in the deployment, see `StageAddress`. */
  readonly stage: string;
  readonly machine: DeploymentMachine;
  /** The steps before this one are left out: an earlier attempt had done them. */
  readonly fromStep?: string;
}

/**
 * Turns one service of a deployment into plans. Pure: the same model, package and order give the same plan. What does
 * not depend on the machine is parsed and encoded once, so that 900 plans cost little more than one.
 */
export class ServiceCompiler {
  readonly #model: DeploymentModel;
  readonly #content: PackageContent;
  readonly #files: FileCompiler;
  readonly #expressions = new Expressions();
  readonly #shared: Omit<Scope, 'machine'>;

  constructor(model: DeploymentModel, service: DeploymentService, content: PackageContent) {
    this.#model = model;
    this.#content = content;
    this.#files = new FileCompiler(content, new Templates());
    this.#shared = serviceScope(model, service);
  }

  /** @throws CompileError, whose text names file, line, expression and cure. */
  compile({ planId, stage, machine, fromStep }: PlanOrder): PlanPayload {
    const all = stepsOf(this.#content.application, this.#model.action, parseStageAddress(stage));
    const wanted = fromStep === undefined ? all : stepsFrom(all, fromStep, stage);
    const scope = { ...this.#shared, machine: machineScope(machine) } as Scope;
    const reader = { expressions: this.#expressions, scope };
    const steps = wanted.flatMap((step) => this.#step(step, reader) ?? []);
    return {
      format: 'torcello/1',
      deploymentId: this.#model.deploymentId,
      planId,
      stage,
      action: this.#model.action,
      environment: scope.environment,
      service: scope.service,
      machine: scope.machine,
      steps,
    };
  }

  #step(step: StageStep, reader: TextReader): PlanStep | undefined {
    if ('fixed' in step) return step.fixed;
    const { placeOf } = this.#content.application;
    return compileStep({ step: step.definition, path: step.path, placeOf, reader, files: this.#files });
  }
}
