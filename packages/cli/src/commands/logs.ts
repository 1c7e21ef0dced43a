import type { Command } from 'commander';
import { usageError } from '../cli-error.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { outputText } from '../output/deployment-text.js';
import { LineMixer } from '../output/line-mixer.js';
import { safeText } from '../output/text.js';
import { outputEvents, type OutputEvent } from '../watch/output-events.js';
import { untilStopped } from '../watch/until-stopped.js';
import { apiCommand, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';

interface LogsOptions extends CommonOptions {
  readonly machine?: string;
  readonly step?: string;
  readonly follow?: true;
  readonly tailBytes: string;
}

/** So much of every step's output is shown unless `--tail-bytes` says otherwise. */
const tailBytesDefault = 65_536;

/** `torcello logs`: what the steps of a deployment wrote. */
export function logsCommand(run: CommandRun): Command {
  return apiCommand<LogsOptions>(run, 'logs <deployment>', 'show what the steps of a deployment wrote', logs)
    .option('--machine <name>', 'of this machine only')
    .option('--step <name>', 'of this step only')
    .option('--follow', 'all of it from the beginning, and live to the end; with --json one value a line')
    .option('--tail-bytes <number>', "so much of the end of every step's output", String(tailBytesDefault));
}

async function logs(world: ActionWorld<LogsOptions>, id = ''): Promise<ExitCode | void> {
  const { client, printer, options } = world;
  const { machine, step } = options;
  if (!/^[1-9]\d*$/.test(options.tailBytes))
    throw usageError(`--tail-bytes ${options.tailBytes} is no number of bytes`);
  if (options.follow === true) return follow(world, id);
  const { outputs, past } = await client.output(id, { machine, step, tailBytes: Number(options.tailBytes) });
  printer.answer(outputs, () =>
    past !== undefined
      ? [safeText(`Past its retention: ${past}`)]
      : outputs.length === 0
        ? ['No output yet.']
        : outputs.flatMap((output) => [...outputText(output), '']),
  );
}

/** Shows what is written until the deployment has finished or somebody interrupts it. */
async function follow({ client, context, options, printer }: ActionWorld<LogsOptions>, id: string): Promise<ExitCode> {
  const { machine, step } = options;
  const write = (line: string): void => void context.stdout.write(`${safeText(line, { keepLines: true })}\n`);
  const mixer = new LineMixer(write);
  const show = (event: OutputEvent): void => {
    if (event.type === 'output') mixer.push(writerOf(event.chunk), event.chunk.text);
    else if (event.type === 'away') context.stderr.write('The API is away; the output goes on when it is back\n');
    else {
      mixer.endOf(writerOf(event.type === 'gap' ? event.chunk : event.cut));
      write(event.type === 'gap' ? gapLine(event) : cutLine(event.cut));
    }
  };
  const tell = printer.isJson ? (event: OutputEvent) => printer.answer(event, () => []) : show;
  const { end } = await untilStopped(context, undefined, async (signal) => {
    const events = outputEvents(client.http, id, { machine, step, clock: context.clock, signal });
    for await (const event of events) tell(event);
  });
  mixer.end();
  return end === 'interrupted' ? exitCodes.interrupted : exitCodes.ok;
}

function writerOf({ machine, step }: { readonly machine: string; readonly step: string }): string {
  return `${machine} ${step}`;
}

function gapLine({ chunk, bytes }: Extract<OutputEvent, { type: 'gap' }>): string {
  return `${writerOf(chunk)} | … ${bytes} bytes are missing here`;
}

function cutLine(cut: { machine: string; step: string; totalBytes: number; sha256?: string | null }): string {
  const digest = cut.sha256 === undefined || cut.sha256 === null ? '' : `, SHA-256 ${cut.sha256}`;
  return `${writerOf(cut)} | … cut here: ${cut.totalBytes} bytes in all${digest}`;
}
