import { type PlanFile, type PlanPayload, type PlanStep } from '@torcello/contracts';
import { stepSource } from './step-source.js';

/** What a plan of Murano's format 2.0.0 needs beside our own. */
export interface MuranoPlanOrder {
  readonly payload: PlanPayload;
  /** Rises from plan to plan of a machine: its agent drops any that does not. */
  readonly stamp: number;
  /** Milliseconds since 1970. */
  readonly startByMs?: number;
}

/** Output that all steps of a plan send back together; of each step the end is kept. */
const outputBytesMax = 393_216;
const outputBytesOfStepMax = 65_536;

/**
 * Our steps as an execution plan of Murano (format 2.0.0, sections 1.4 and 1.9): one script of type `Application` a
 * step, and a `Body` that runs one after the other, ends with the first that fails, and answers with what each one told.
 */
export function muranoPlan({ payload, stamp, startByMs }: MuranoPlanOrder): Uint8Array {
  const { steps, planId } = payload;
  const startBy = startByMs === undefined ? '' : String(Math.ceil(startByMs / 1000));
  const tailBytes = Math.min(outputBytesOfStepMax, Math.floor(outputBytesMax / Math.max(1, steps.length)));
  const parts = steps.map((step, index) => stepParts({ payload, step, number: index + 1, startBy, tailBytes }));
  const plan = {
    FormatVersion: '2.0.0',
    ID: planId,
    Stamp: stamp,
    Action: 'Execute',
    Name: `${payload.stage} on ${payload.machine.name}`.slice(0, 200),
    Version: '1.0.0',
    Parameters: {},
    Body: bodyOf(steps),
    Scripts: Object.fromEntries(parts.map(({ name, script }) => [name, script])),
    Files: Object.fromEntries([
      ...(steps.length === 0 ? [] : [['torcello', textFile('torcello-step', stepSource)]]),
      ...parts.flatMap(({ files }) => files),
    ]),
    Options: {},
  };
  return new TextEncoder().encode(JSON.stringify(plan));
}

/** A script call per step; its name is text for Python and JSON alike. */
function bodyOf(steps: readonly PlanStep[]): string {
  const calls = steps.map(({ name }, index) => `(${pythonText(name)}, step${index + 1})`);
  return [
    'steps = []',
    `for name, run in [${calls.join(', ')}]:`,
    '    end = run()',
    '    steps.append({"name": name, "exitCode": end.exitCode, "stdout": end.stdout, "stderr": end.stderr})',
    '    if end.exitCode != 0:',
    '        break',
    'return {"torcello": 1, "steps": steps}',
    '',
  ].join('\n');
}

function pythonText(text: string): string {
  return JSON.stringify(text).replaceAll(/[\u007f-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

interface StepOrder {
  readonly payload: PlanPayload;
  readonly step: PlanStep;
  /** From 1. */
  readonly number: number;
  readonly startBy: string;
  readonly tailBytes: number;
}

type MuranoFile = readonly [string, { readonly Name: string; readonly BodyType: 'Text'; readonly Body: string }];

function stepParts(order: StepOrder): {
  readonly name: string;
  readonly script: object;
  readonly files: readonly MuranoFile[];
} {
  const { step, number } = order;
  // Base64 as text: murano-agent on Python 3 lays down no file that is not UTF-8.
  const bodies = step.files.flatMap((file, index): readonly MuranoFile[] => {
    const id = `step${number}-file${index + 1}`;
    return file.remove === true ? [] : [[id, textFile(`file${index + 1}`, file.body)]];
  });
  // In the agent's folder of a plan, scripts and files are neighbours: no id may be a script's name.
  const entry: MuranoFile = [`step${number}-entry`, textFile(`step${number}.sh`, entryOf(order))];
  return {
    name: `step${number}`,
    script: {
      Type: 'Application',
      Version: '1.0.0',
      EntryPoint: `step${number}-entry`,
      Files: ['torcello', ...bodies.map(([id]) => id)],
      Options: { captureStdout: true, captureStderr: true, verifyExitcode: false },
    },
    files: [entry, ...bodies],
  };
}

function textFile(name: string, body: string): MuranoFile[1] {
  return { Name: name, BodyType: 'Text', Body: body };
}

/** The entry point of one step: what differs from step to step, then the program that is the same for all. */
function entryOf({ payload, step, number, startBy, tailBytes }: StepOrder): string {
  const environment = environmentOf(payload, step);
  const launch = (words: readonly string[]): string => {
    return ['launch', ...environment, 'sh', '-c', '"$local_first"', 'sh', ...words.map(quoted)].join(' ');
  };
  const functionOf = (name: string, lines: readonly string[]): string =>
    [`${name}() {`, ...(lines.length === 0 ? ['  :'] : lines.map((line) => `  ${line}`)), '}'].join('\n');
  return [
    '#!/bin/sh',
    `plan=${payload.planId} number=${number} policy=${step.onInterrupt} reboot=${step.reboot ?? ''}`,
    `limit=${Math.ceil(step.timeoutMs / 1000)} start_by=${startBy} tail_bytes=${tailBytes}`,
    `has_words=${step.command === undefined ? 'no' : 'yes'}`,
    `folder=${quoted(folderName(payload.environment.name, payload.service.id))}`,
    functionOf('files', step.files.map(layLine)),
    functionOf('run_words', step.command === undefined ? [] : [launch(step.command)]),
    functionOf('check_words', step.check === undefined ? [] : [launch(step.check)]),
    '. ./torcello-step',
    '',
  ].join('\n');
}

function layLine(file: PlanFile, index: number): string {
  if (file.remove === true) return `remove ${quoted(file.path)}`;
  return `place file${index + 1} 0${file.mode.toString(8)} ${quoted(file.path)}`;
}

function environmentOf(payload: PlanPayload, step: PlanStep): readonly string[] {
  const { deploymentId, planId, machine, environment, service } = payload;
  const values = {
    ...step.env,
    TORCELLO_MACHINE: machine.name,
    TORCELLO_ENVIRONMENT: environment.name,
    TORCELLO_SERVICE: service.id,
    TORCELLO_DEPLOYMENT: deploymentId,
    TORCELLO_PLAN: planId,
    TORCELLO_STEP: step.name,
  };
  return Object.entries(values).map(([name, value]) => quoted(`${name}=${value}`));
}

/** Text as one word of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** As our own agent names the folder of an application. */
function folderName(environmentName: string, serviceId: string): string {
  const plain = (text: string): string => text.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 100);
  return `${plain(environmentName)}-${plain(serviceId)}`;
}
