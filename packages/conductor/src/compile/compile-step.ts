import { type PlanFile, type PlanStep, type StepDefinition, limits, parseDuration } from '@torcello/contracts';
import type { DocumentPath } from './application-source.js';
import { CompileError, type FindPlace, type SourcePlace } from './compile-error.js';
import type { FileCompiler } from './compile-files.js';
import { type TextReader, readText, readValue } from './text.js';

const stepTimeoutMsDefault = 600_000;

/** One step of a stage, and how to read it. */
export interface StepSource {
  readonly step: StepDefinition;
  readonly path: DocumentPath;
  readonly placeOf: (path: DocumentPath, text?: string) => SourcePlace;
  readonly reader: TextReader;
  readonly files: FileCompiler;
}

/** The step for one machine, or undefined where its `when` is false. @throws CompileError */
export function compileStep(source: StepSource): PlanStep | undefined {
  const { step, reader } = source;
  if (step.when !== undefined && !holds(step.when, source)) return undefined;
  const command = commandOf(source);
  const files = filesOf(source);
  const check = step.check === undefined ? undefined : argumentsOf(step.check, 'check', source);
  const env = Object.entries(step.env ?? {}).map(([name, value]) => {
    return [name, argument(value, reader, placeIn(source, ['env', name]))] as const;
  });
  return {
    name: step.name,
    files,
    ...(command === undefined ? {} : { command }),
    env: Object.fromEntries(env),
    timeoutMs: timeoutOf(source),
    onInterrupt: step.onInterrupt ?? 'fail',
    ...(check === undefined ? {} : { check }),
    ...(step.reboot === undefined ? {} : { reboot: step.reboot }),
  };
}

function holds(when: string, source: StepSource): boolean {
  const place = placeIn(source, ['when']);
  const text = when.trim();
  const { expressions, scope } = source.reader;
  const value = text.startsWith('${{')
    ? readValue(text, source.reader, place)
    : expressions.evaluate(text, scope, place);
  if (typeof value === 'boolean') return value;
  throw new CompileError('VALUE_UNSUITABLE', place(), {
    problem: `${when}: "when" has to be true or false`,
    cure: 'compare the value, as in inputs.size > 0',
  });
}

function commandOf(source: StepSource): readonly string[] | undefined {
  const { script, args = [], command } = source.step;
  if (script !== undefined) return [`./${script}`, ...argumentsOf(args, 'args', source)];
  return command === undefined ? undefined : argumentsOf(command, 'command', source);
}

function argumentsOf(
  values: readonly (string | number | boolean)[],
  field: string,
  source: StepSource,
): readonly string[] {
  return values.map((value, index) => argument(value, source.reader, placeIn(source, [field, index])));
}

function argument(value: string | number | boolean, reader: TextReader, place: FindPlace): string {
  const text = typeof value === 'string' ? readText(value, reader, place) : String(value);
  if (!text.includes('\0')) return text;
  throw new CompileError('VALUE_UNSUITABLE', place(), {
    problem: 'the text holds a zero byte, which no program can be given',
    cure: 'use a file for binary data',
  });
}

function filesOf(source: StepSource): readonly PlanFile[] {
  const { step, reader, files } = source;
  const laidDown = (step.files ?? []).map((file, index) => {
    return files.compile(file, reader, placeIn(source, ['files', index]));
  });
  const all =
    step.script === undefined ? laidDown : [...laidDown, files.script(step.script, placeIn(source, ['script']))];
  const paths = new Set<string>();
  for (const { path } of all) {
    if (paths.has(path)) throw twice(path, source);
    paths.add(path);
  }
  return all;
}

function timeoutOf(source: StepSource): number {
  const { timeout } = source.step;
  const timeoutMs = timeout === undefined ? stepTimeoutMsDefault : parseDuration(timeout);
  if (timeoutMs !== undefined && timeoutMs > 0 && timeoutMs <= limits.stepTimeoutMsMax.value) return timeoutMs;
  throw new CompileError('STEP_INVALID', placeIn(source, ['timeout'])(), {
    problem: `"${String(timeout)}" is no time a step may take`,
    cure: 'write a duration such as 30s or 5m, at most 1d',
  });
}

function twice(path: string, source: StepSource): CompileError {
  return new CompileError('STEP_INVALID', source.placeOf(source.path), {
    problem: `step "${source.step.name}" lays down ${path} twice`,
    cure: 'give one of the two another path',
  });
}

function placeIn(source: StepSource, below: DocumentPath): FindPlace {
  return (text) => source.placeOf([...source.path, ...below], text);
}
