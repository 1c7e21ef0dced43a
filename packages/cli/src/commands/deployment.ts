import type { Command } from 'commander';
import type { HistoryEntry } from '../client/views.js';
import type { ExitCode } from '../exit-codes.js';
import { deploymentLine, exitCodeOfDeployment, isOpenDeployment, planTable } from '../output/deployment-text.js';
import { safeText } from '../output/text.js';
import { failureLines, waiting, watchAndTell } from '../watch/watch-deployment.js';
import { apiCommand, noun, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';
import { watchTimeoutMs } from './environment.js';
import { quarantinedLine } from './quarantine.js';

interface ShowOptions extends CommonOptions {
  readonly watch?: true;
  readonly watchTimeout?: string;
}

/** `torcello deployment`: runs of applying an environment. */
export function deploymentCommand(run: CommandRun): Command {
  return noun('deployment', 'runs of applying an environment', [
    apiCommand(run, 'list [environment]', 'list the deployments, of one environment or all, newest first', list),
    apiCommand<ShowOptions>(
      run,
      'show <deployment>',
      'show how a deployment stands; the exit code tells how it ended',
      show,
    )
      .option('--watch', 'follow it to its end')
      .option('--watch-timeout <duration>', 'end the watch after this time, as 10m'),
    apiCommand(
      run,
      'history <deployment>',
      'show the history of a deployment, which is the truth about it',
      async ({ client, printer }, id = '') => {
        const { events, past, quarantined = [] } = await client.history(id);
        printer.answer(events, () => [
          ...(past === undefined ? [] : [safeText(`Past its retention: ${past}`)]),
          ...events.map(eventLine),
          ...quarantined.map(quarantinedLine),
        ]);
      },
    ).alias('events'),
  ]);
}

async function list({ client, printer }: ActionWorld<CommonOptions>, name?: string): Promise<void> {
  const only = name === undefined ? undefined : (await client.environmentNamed(name)).id;
  const deployments = await client.deployments(only);
  printer.table(deployments, {
    columns: [
      { title: 'DEPLOYMENT' },
      { title: 'ENVIRONMENT' },
      { title: 'STATE' },
      { title: 'STARTED' },
      { title: 'FINISHED' },
    ],
    rows: deployments.map((row) => [
      row.id,
      row.environment_name ?? row.environment_id,
      row.outcome ?? row.state,
      row.started ?? '-',
      row.finished ?? '-',
    ]),
    empty: 'No deployment yet. Try: torcello deploy ENVIRONMENT --watch',
  });
}

async function show({ client, printer, context, options }: ActionWorld<ShowOptions>, id = ''): Promise<ExitCode> {
  const timeoutMs = watchTimeoutMs(options.watchTimeout);
  const view = await client.deployment(id);
  if (options.watch === true && isOpenDeployment(view)) {
    return watchAndTell(context, client, id, { timeoutMs, printer });
  }
  const failures = printer.isJson ? [] : await failureLines(client, view);
  const nowMs = context.clock.now();
  printer.answer(view, () => [
    ...planTable(view.plans, nowMs),
    ...failures,
    deploymentLine(view),
    ...waiting(view, nowMs),
  ]);
  return exitCodeOfDeployment(view);
}

function eventLine({ n, at, event }: HistoryEntry): string {
  const { type, ...fields } = event;
  return safeText(`${String(n).padStart(4)}  ${at}  ${type}  ${JSON.stringify(fields)}`);
}
