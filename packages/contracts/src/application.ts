import { Type } from 'typebox';
import type { TSchema } from 'typebox';

/** `application.yaml` of a `Torcello/1.0` package, as it is written. The schema below and `checkApplication` hold it. */
export interface ApplicationDefinition {
  /** JSON Schema of the application's properties; its defaults are applied. Default: any object. */
  readonly properties?: Readonly<Record<string, unknown>>;
  /** How many machines each role may have; `count` is what `environment create` may make. */
  readonly machines: Readonly<Record<string, RoleDefinition>>;
  readonly deploy: readonly StageDefinition[];
  /** Default: nothing is done on the machines. */
  readonly destroy?: readonly StageDefinition[];
}

export interface RoleDefinition {
  /** Default: 1. */
  readonly min?: number;
  /** Default: no bound. */
  readonly max?: number;
  /** Default: `min`. */
  readonly count?: number;
}

/** One role's part. Stages run as soon as their needs hold, in any order otherwise. */
export interface StageDefinition {
  readonly role: string;
  /** Default: the role's name. */
  readonly stage?: string;
  /** Names of stages of this application, in the same list. */
  readonly needs?: readonly string[];
  /** So many machines may fail before the stage counts as failed; of a roll-out: of all its batches. Default: 0. */
  readonly failuresMax?: number;
  /** Machines of one batch, as a number or as `20%` of the role; the next batch waits for this one. Default: all at once. */
  readonly batch?: number | string;
  /** What has to hold between two batches. */
  readonly gate?: GateDefinition;
  readonly steps: readonly StepDefinition[];
}

/** Run on the machines of a batch before the next one starts: first the wait, then the steps. At least one of the two. */
export interface GateDefinition {
  /** How long the batch has to be in use before it is looked at, as `30s`. */
  readonly soak?: string;
  readonly steps?: readonly StepDefinition[];
}

/** First the files, then the script or the command (at most one of the two). */
export interface StepDefinition {
  readonly name: string;
  /** CEL; the step is left out where it is false. */
  readonly when?: string;
  readonly files?: readonly FileDefinition[];
  /** A file under `scripts/` of the package, put next to the files (mode 0700) and run. */
  readonly script?: string;
  /** Arguments of the script. Texts here, in `command` and in `env` may hold CEL in `${{ }}`. */
  readonly args?: readonly (string | number | boolean)[];
  readonly command?: readonly (string | number | boolean)[];
  readonly env?: Readonly<Record<string, string | number | boolean>>;
  /** As `30s`. Default: 10m. */
  readonly timeout?: string;
  /** Default: fail. */
  readonly onInterrupt?: 'fail' | 'rerun' | 'check';
  /** The step restarts the machine; the plan goes on with the next step when it is up again. */
  readonly reboot?: 'expected';
  /** Program and arguments for `check`: exit code 0 means that the interrupted step had done its work. */
  readonly check?: readonly (string | number | boolean)[];
}

/** Exactly one of `source`, `template`, `remove`. */
export interface FileDefinition {
  /** On the machine: relative to the application's folder and never outside of it, or absolute. */
  readonly path: string;
  /** A file under `files/` of the package, copied as it is. */
  readonly source?: string;
  /** A file under `files/` of the package, rendered with Liquid. */
  readonly template?: string;
  /** Octal, as "0644" (the default). */
  readonly mode?: string;
  readonly remove?: true;
}

const name: TSchema = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$' });
const scalar: TSchema = Type.Union([Type.String(), Type.Number(), Type.Boolean()]);
/** Relative, with forward slashes, no empty, `.` or `..` part. */
const packagePath: TSchema = Type.String({ pattern: '^(?!/)(?!(.*/)?\\.{0,2}(/|$))[^\\\\\\u0000]+$', maxLength: 255 });

const fileSchema: TSchema = Type.Object(
  {
    path: Type.String({ minLength: 1, maxLength: 1024 }),
    source: Type.Optional(packagePath),
    template: Type.Optional(packagePath),
    mode: Type.Optional(Type.String({ pattern: '^0?[0-7]{3}$' })),
    remove: Type.Optional(Type.Literal(true)),
  },
  { additionalProperties: false },
);

const stepSchema: TSchema = Type.Object(
  {
    name,
    when: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
    files: Type.Optional(Type.Array(fileSchema, { maxItems: 1000 })),
    script: Type.Optional(packagePath),
    args: Type.Optional(Type.Array(scalar, { maxItems: 256 })),
    command: Type.Optional(Type.Array(scalar, { minItems: 1, maxItems: 256 })),
    env: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), scalar, { additionalProperties: false }),
    ),
    timeout: Type.Optional(Type.String()),
    reboot: Type.Optional(Type.Literal('expected')),
    onInterrupt: Type.Optional(Type.Union([Type.Literal('fail'), Type.Literal('rerun'), Type.Literal('check')])),
    check: Type.Optional(Type.Array(scalar, { minItems: 1, maxItems: 256 })),
  },
  { additionalProperties: false },
);

const gateSchema: TSchema = Type.Object(
  { soak: Type.Optional(Type.String()), steps: Type.Optional(Type.Array(stepSchema)) },
  { additionalProperties: false },
);

const stageSchema: TSchema = Type.Object(
  {
    role: name,
    stage: Type.Optional(name),
    needs: Type.Optional(Type.Array(name)),
    failuresMax: Type.Optional(Type.Integer({ minimum: 0 })),
    batch: Type.Optional(Type.Union([Type.Integer({ minimum: 1 }), Type.String({ pattern: '^([1-9][0-9]?|100)%$' })])),
    gate: Type.Optional(gateSchema),
    steps: Type.Array(stepSchema, { minItems: 1 }),
  },
  { additionalProperties: false },
);

const roleSchema: TSchema = Type.Object(
  {
    min: Type.Optional(Type.Integer({ minimum: 0 })),
    max: Type.Optional(Type.Integer({ minimum: 1 })),
    count: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
);

/** Schema of `application.yaml`. What a schema cannot say is in `checkApplication`. */
export const applicationSchema: TSchema = Type.Object(
  {
    properties: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    machines: Type.Record(Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$' }), roleSchema, {
      additionalProperties: false,
    }),
    deploy: Type.Array(stageSchema, { minItems: 1 }),
    destroy: Type.Optional(Type.Array(stageSchema)),
  },
  { additionalProperties: false },
);

/** Name of a stage: its own, or its role's. */
export function stageName(stage: StageDefinition): string {
  return stage.stage ?? stage.role;
}
