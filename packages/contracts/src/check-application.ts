import { Value } from 'typebox/value';
import type { TSchema } from 'typebox';
import { applicationSchema, stageName } from './application.js';
import type {
  ApplicationDefinition,
  FileDefinition,
  GateDefinition,
  StageDefinition,
  StepDefinition,
} from './application.js';
import { parseDuration } from './duration.js';
import { limits } from './limits.js';
import { soakStepName } from './stage-address.js';

/** One thing that is wrong in a document: `path` is a JSON pointer, `message` says what is expected. */
export interface Flaw {
  readonly path: string;
  readonly message: string;
}

/** What a schema finds wrong in a value, at most twenty flaws, the deepest and most telling first. */
export function schemaFlaws(schema: TSchema, value: unknown): readonly Flaw[] {
  return Value.Errors(schema, value)
    .filter((error) => error.keyword !== 'boolean' && error.keyword !== 'anyOf')
    .map((error) => ({ path: error.instancePath, message: describe(error) }))
    .slice(0, 20);
}

function describe(error: { readonly keyword: string; readonly message: string; readonly params: object }): string {
  const { additionalProperties } = error.params as { readonly additionalProperties?: readonly string[] };
  return additionalProperties === undefined ? error.message : `${error.message}: ${additionalProperties.join(', ')}`;
}

/** Everything that is wrong in an `application.yaml`; an empty answer means that it is an `ApplicationDefinition`. */
export function checkApplication(value: unknown): readonly Flaw[] {
  if (!Value.Check(applicationSchema, value)) {
    const flaws = schemaFlaws(applicationSchema, value);
    return flaws.length > 0 ? flaws : [{ path: '', message: 'it is not an application' }];
  }
  const application = value as ApplicationDefinition;
  return [
    ...roleFlaws(application),
    ...stageListFlaws(application, 'deploy'),
    ...stageListFlaws(application, 'destroy'),
  ];
}

/** Paths inside the package that an application names: `files/…` and `scripts/…`, each once. */
export function namedFiles(application: ApplicationDefinition): readonly string[] {
  const steps = [...application.deploy, ...(application.destroy ?? [])].flatMap((stage) => [
    ...stage.steps,
    ...(stage.gate?.steps ?? []),
  ]);
  const files = steps.flatMap((step) => step.files ?? []).flatMap((file) => file.source ?? file.template ?? []);
  const scripts = steps.flatMap((step) => step.script ?? []);
  return [...new Set([...files.map((file) => `files/${file}`), ...scripts.map((script) => `scripts/${script}`)])];
}

function roleFlaws(application: ApplicationDefinition): readonly Flaw[] {
  return Object.entries(application.machines).flatMap(([role, { min = 1, max }]) =>
    max !== undefined && max < min
      ? [{ path: `/machines/${role}/max`, message: `must not be below min (${min})` }]
      : [],
  );
}

function stageListFlaws(application: ApplicationDefinition, list: 'deploy' | 'destroy'): readonly Flaw[] {
  const stages = application[list] ?? [];
  const names = stages.map(stageName);
  const flaws = stages.flatMap((stage, place) => {
    const path = `/${list}/${place}`;
    const unknown = (stage.needs ?? []).filter((need) => !names.includes(need));
    return [
      ...(stage.role in application.machines
        ? []
        : [{ path: `${path}/role`, message: `role "${stage.role}" is not under machines` }]),
      ...(names.indexOf(stageName(stage)) === place
        ? []
        : [{ path, message: `stage "${stageName(stage)}" is there twice` }]),
      ...unknown.map((need) => ({ path: `${path}/needs`, message: `needs "${need}", which is no stage here` })),
      ...stepListFlaws(stage.steps, path),
      ...(stage.gate === undefined ? [] : gateFlaws(stage.gate, `${path}/gate`)),
    ];
  });
  return flaws.length > 0 ? flaws : cycleFlaws(stages, list);
}

function gateFlaws(gate: GateDefinition, path: string): readonly Flaw[] {
  const { soak, steps = [] } = gate;
  const hasOwnSoak = soak !== undefined && steps.some((step) => step.name === soakStepName);
  return [
    ...(soak === undefined && steps.length === 0 ? [{ path, message: 'is empty: it needs soak or steps' }] : []),
    ...(soak === undefined || isStepTime(soak)
      ? []
      : [{ path: `${path}/soak`, message: 'must be a duration such as 30s or 5m, at most 1d' }]),
    ...(hasOwnSoak
      ? [{ path: `${path}/steps`, message: `a step cannot be called "${soakStepName}" where the gate has a soak` }]
      : []),
    ...stepListFlaws(steps, path),
  ];
}

function isStepTime(text: string): boolean {
  const durationMs = parseDuration(text);
  return durationMs !== undefined && durationMs > 0 && durationMs <= limits.stepTimeoutMsMax.value;
}

function stepListFlaws(steps: readonly StepDefinition[], path: string): readonly Flaw[] {
  const { planStepsMax } = limits;
  if (steps.length > planStepsMax.value) {
    return [{ path: `${path}/steps`, message: `has ${steps.length} steps, at most ${planStepsMax.value} are allowed` }];
  }
  const names = steps.map((step) => step.name);
  return steps.flatMap((step, place) => [
    ...(names.indexOf(step.name) === place
      ? []
      : [{ path: `${path}/steps/${place}`, message: `step "${step.name}" is there twice` }]),
    ...stepFlaws(step, `${path}/steps/${place}`),
  ]);
}

function stepFlaws(step: StepDefinition, path: string): readonly Flaw[] {
  const isTimeoutWrong = step.timeout !== undefined && !isStepTime(step.timeout);
  const flaws: readonly (readonly [boolean, string, string])[] = [
    [step.script !== undefined && step.command !== undefined, '', 'has both script and command; take one'],
    [
      step.script === undefined && step.command === undefined && step.files === undefined,
      '',
      'does nothing: it needs files, script or command',
    ],
    [step.args !== undefined && step.script === undefined, '/args', 'belongs to a script'],
    [
      step.reboot !== undefined && step.script === undefined && step.command === undefined,
      '/reboot',
      'belongs to a script or a command: something has to restart the machine',
    ],
    [isTimeoutWrong, '/timeout', 'must be a duration such as 30s or 5m, at most 1d'],
    [
      (step.onInterrupt === 'check') !== (step.check !== undefined),
      '/check',
      'belongs to "onInterrupt: check", and that needs it',
    ],
  ];
  return [
    ...flaws.flatMap(([isWrong, at, message]) => (isWrong ? [{ path: path + at, message }] : [])),
    ...(step.files ?? []).flatMap((file, place) => fileFlaws(file, `${path}/files/${place}`)),
  ];
}

function fileFlaws(file: FileDefinition, path: string): readonly Flaw[] {
  const given = [file.source, file.template, file.remove].filter((way) => way !== undefined).length;
  const parts = file.path.split('/');
  const leaves = !file.path.startsWith('/') && parts.includes('..');
  return [
    ...(given === 1 ? [] : [{ path, message: 'needs exactly one of source, template, remove' }]),
    ...(leaves || file.path.includes('\0')
      ? [{ path: `${path}/path`, message: 'leads out of the application folder' }]
      : []),
  ];
}

/** Takes away stages whose needs are gone until nothing moves; what is left waits for itself. */
function cycleFlaws(stages: readonly StageDefinition[], list: string): readonly Flaw[] {
  let left = stages;
  for (;;) {
    const names = new Set(left.map(stageName));
    const waiting = left.filter((stage) => (stage.needs ?? []).some((need) => names.has(need)));
    if (waiting.length === left.length) break;
    left = waiting;
  }
  return left.length === 0
    ? []
    : [{ path: `/${list}`, message: `stages need each other in a circle: ${left.map(stageName).join(', ')}` }];
}
