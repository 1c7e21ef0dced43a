import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { diffContracts, type ContractChange, type ContractDescription } from '@torcello/messaging';
import { CliError, usageError } from '../cli-error.js';
import { exitCodes } from '../exit-codes.js';
import { Printer } from '../output/printer.js';
import { noun, type CommandRun } from './command-kit.js';

/** `torcello contract`: what programs agree on. Works on files, without an API. */
export function contractCommand(run: CommandRun): Command {
  const diff = new Command('diff')
    .argument('<old>')
    .argument('<new>')
    .description('compare two descriptions of a contract (JSON of describeContract); exit code 2 when one breaks')
    .option('--json', 'answer with one JSON value on stdout')
    .action(async (before: string, after: string, options: { readonly json?: true }) => {
      const [old, now] = [await readDescription(run, before), await readDescription(run, after)];
      const changes = diffContracts(old, now);
      const isBreaking = changes.some((change) => change.isBreaking);
      const printer = new Printer(run.context, options.json === true);
      printer.answer({ isBreaking, changes }, () => describeChanges(changes));
      run.exitCode = isBreaking ? exitCodes.someFailed : exitCodes.ok;
    });
  return noun('contract', 'what programs agree on', [diff]);
}

function describeChanges(changes: readonly ContractChange[]): readonly string[] {
  if (changes.length === 0) return ['Nothing changed.'];
  const breaks = changes.filter(({ isBreaking }) => isBreaking);
  const rows = changes.map(({ isBreaking, path: at, what }) => `${isBreaking ? 'BREAKS' : 'ok    '}  ${at}: ${what}`);
  const summary =
    breaks.length === 0
      ? 'No change breaks programs of the old contract.'
      : `${breaks.length} of ${changes.length} break.`;
  return [...rows, summary];
}

async function readDescription(run: CommandRun, file: string): Promise<ContractDescription> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path.resolve(run.context.cwd, file), 'utf8'));
  } catch (cause) {
    throw new CliError('usage', `${file} cannot be read as JSON`, { cause });
  }
  if (!isDescription(value)) {
    const cure = 'Write one with describeContract of @torcello/messaging.';
    throw usageError(`${file} holds no description of a contract`, cure);
  }
  return value;
}

function isDescription(value: unknown): value is ContractDescription {
  if (typeof value !== 'object' || value === null) return false;
  const { torcelloContract, methods, notifications, version } = value as Readonly<Record<string, unknown>>;
  const areObjects = [methods, notifications].every((field) => typeof field === 'object' && field !== null);
  return torcelloContract === 1 && typeof version === 'string' && areObjects;
}
