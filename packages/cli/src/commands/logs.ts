import type { Command } from 'commander';
import { usageError } from '../cli-error.js';
import { outputText } from '../output/deployment-text.js';
import { apiCommand, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';

interface LogsOptions extends CommonOptions {
  readonly machine?: string;
  readonly step?: string;
  readonly tailBytes: string;
}

/** So much of every step's output is shown unless `--tail-bytes` says otherwise. */
const tailBytesDefault = 65_536;

/** `torcello logs`: what the steps of a deployment wrote. */
export function logsCommand(run: CommandRun): Command {
  return apiCommand<LogsOptions>(run, 'logs <deployment>', 'show what the steps of a deployment wrote', logs)
    .option('--machine <name>', 'of this machine only')
    .option('--step <name>', 'of this step only')
    .option('--tail-bytes <number>', "so much of the end of every step's output", String(tailBytesDefault));
}

async function logs({ client, printer, options }: ActionWorld<LogsOptions>, id = ''): Promise<void> {
  const { machine, step } = options;
  if (!/^[1-9]\d*$/.test(options.tailBytes))
    throw usageError(`--tail-bytes ${options.tailBytes} is no number of bytes`);
  const outputs = await client.output(id, { machine, step, tailBytes: Number(options.tailBytes) });
  printer.answer(outputs, () =>
    outputs.length === 0 ? ['No output yet.'] : outputs.flatMap((output) => [...outputText(output), '']),
  );
}
