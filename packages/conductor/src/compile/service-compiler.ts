import {
  type DeploymentMachine,
  type DeploymentModel,
  type DeploymentService,
  type PlanPayload,
  type StageDefinition,
  stageName,
} from '@torcello/contracts';
import { CompileError } from './compile-error.js';
import { FileCompiler } from './compile-files.js';
import { compileStep } from './compile-step.js';
import { Expressions } from './expressions.js';
import { applicationFile } from './application-source.js';
import type { PackageContent } from './package-content.js';
import { type Scope, machineScope, serviceScope } from './scope.js';
import { Templates } from './templates.js';

/** Which plan is wanted: a stage of the application, for one machine. */
export interface PlanOrder {
  readonly planId: string;
  /** The full name in the deployment, `<service id>/<stage of the application>`. */
  readonly stage: string;
  readonly machine: DeploymentMachine;
}

/**
 * Turns one service of a deployment into plans. Pure: the same model, package and order give the same plan. What does
 * not depend on the machine is parsed and encoded once, so that 900 plans cost little more than one.
 */
export class ServiceCompiler {
  readonly #model: DeploymentModel;
  readonly #service: DeploymentService;
  readonly #content: PackageContent;
  readonly #files: FileCompiler;
  readonly #expressions = new Expressions();
  readonly #shared: Omit<Scope, 'machine'>;

  constructor(model: DeploymentModel, service: DeploymentService, content: PackageContent) {
    this.#model = model;
    this.#service = service;
    this.#content = content;
    this.#files = new FileCompiler(content, new Templates());
    this.#shared = serviceScope(model, service);
  }

  /** @throws CompileError, whose text names file, line, expression and cure. */
  compile({ planId, stage, machine }: PlanOrder): PlanPayload {
    const { definition, place } = this.#stage(stage);
    const scope = { ...this.#shared, machine: machineScope(machine) } as Scope;
    const reader = { expressions: this.#expressions, scope };
    const { placeOf } = this.#content.application;
    const steps = definition.steps.flatMap((step, index) => {
      const path = [this.#model.action, place, 'steps', index];
      return compileStep({ step, path, placeOf, reader, files: this.#files }) ?? [];
    });
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

  #stage(fullName: string): { readonly definition: StageDefinition; readonly place: number } {
    const stages = this.#content.application.definition[this.#model.action] ?? [];
    const name = fullName.slice(this.#service.id.length + 1);
    const place = stages.findIndex((stage) => stageName(stage) === name);
    const definition = stages[place];
    if (definition !== undefined) return { definition, place };
    throw new CompileError(
      'STAGE_UNKNOWN',
      { file: applicationFile },
      {
        problem: `the package has no ${this.#model.action} stage "${name}"`,
        cure: 'deploy again, so that the stages are taken from the package as it is now',
      },
    );
  }
}
