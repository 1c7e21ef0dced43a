import {
  type DeploymentAction,
  type PlanStep,
  type StageAddress,
  type StepDefinition,
  limits,
  parseDuration,
  soakStepName,
  stageName,
} from '@torcello/contracts';
import { type ApplicationSource, type DocumentPath, applicationFile } from './application-source.js';
import { CompileError } from './compile-error.js';

/** One step of a stage: as the package has it, or one that is made here and the same for every machine. */
export type StageStep =
  | { readonly name: string; readonly definition: StepDefinition; readonly path: DocumentPath }
  | { readonly name: string; readonly fixed: PlanStep };

/** Time for the program that waits to start and end. */
const soakSlackMs = 60_000;

/** The steps of a stage, of one of its batches, or of the gate after a batch. @throws CompileError STAGE_UNKNOWN */
export function stepsOf(
  application: ApplicationSource,
  action: DeploymentAction,
  address: StageAddress,
): readonly StageStep[] {
  const stages = application.definition[action] ?? [];
  const place = stages.findIndex((stage) => stageName(stage) === address.stage);
  const stage = stages[place];
  if (stage === undefined) throw unknownStage(`the package has no ${action} stage "${address.stage}"`);
  if (!address.isGate) return named(stage.steps, [action, place, 'steps']);
  const { gate } = stage;
  if (gate === undefined) throw unknownStage(`the ${action} stage "${address.stage}" of the package has no gate`);
  const soakMs = gate.soak === undefined ? 0 : (parseDuration(gate.soak) ?? 0);
  const soak = soakMs > 0 ? [{ name: soakStepName, fixed: soakStep(soakMs) }] : [];
  return [...soak, ...named(gate.steps ?? [], [action, place, 'gate', 'steps'])];
}

/** What is left of them from the step `name` on. @throws CompileError STEP_UNKNOWN */
export function stepsFrom(steps: readonly StageStep[], name: string, stage: string): readonly StageStep[] {
  const from = steps.findIndex((step) => step.name === name);
  if (from >= 0) return steps.slice(from);
  throw new CompileError(
    'STEP_UNKNOWN',
    { file: applicationFile },
    {
      problem: `stage "${stage}" has no step "${name}", with which it was to go on`,
      cure: 'keep the names of failed steps when a package is corrected, or deploy again',
    },
  );
}

function named(definitions: readonly StepDefinition[], path: DocumentPath): readonly StageStep[] {
  return definitions.map((definition, index) => ({ name: definition.name, definition, path: [...path, index] }));
}

/** The machine itself waits, so that nobody else has to remember it. */
function soakStep(soakMs: number): PlanStep {
  return {
    name: soakStepName,
    files: [],
    command: ['sleep', String(Math.ceil(soakMs / 1000))],
    env: {},
    timeoutMs: Math.min(soakMs + soakSlackMs, limits.stepTimeoutMsMax.value),
    onInterrupt: 'rerun',
  };
}

function unknownStage(problem: string): CompileError {
  const cure = 'deploy again, so that the stages are taken from the package as it is now';
  return new CompileError('STAGE_UNKNOWN', { file: applicationFile }, { problem, cure });
}
