import type { Command } from 'commander';
import type { DeployRequest } from '../client/api-client.js';
import { usageError } from '../cli-error.js';
import type { ExitCode } from '../exit-codes.js';
import { rolloutLines } from '../output/rollout-text.js';
import { watchAndTell } from '../watch/watch-deployment.js';
import { apiCommand, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';
import { deliverWithinMs, watchTimeoutMs } from './environment.js';

interface DeployOptions extends CommonOptions {
  readonly deliverWithin?: string;
  readonly supersedes?: string;
  readonly batch?: string;
  readonly maxFailures?: string;
  readonly plan?: true;
  readonly watch?: true;
  readonly watchTimeout?: string;
}

/** `torcello deploy`: hands the staged changes of an environment over, or deploys what it has once more. */
export function deployCommand(run: CommandRun): Command {
  return apiCommand<DeployOptions>(
    run,
    'deploy <environment>',
    'deploy what is staged, or once more what is deployed',
    deploy,
  )
    .option('--deliver-within <duration>', 'a machine that has not fetched its plan by then does not run it, as 5d')
    .option('--supersedes <key>', 'end the claim to run of an older deployment with the same key')
    .option('--batch <size>', 'so many machines at a time, as 5 or 20%')
    .option('--max-failures <number>', 'stop when more machines of a stage than these have failed')
    .option('--plan', 'only show which machines come in which order, who is off, and what expires when')
    .option('--watch', 'follow the deployment to its end; the exit code tells it')
    .option('--watch-timeout <duration>', 'end the watch after this time, as 10m; the deployment goes on');
}

async function deploy(world: ActionWorld<DeployOptions>, name = ''): Promise<ExitCode | void> {
  const { client, printer, context, options } = world;
  const timeoutMs = watchTimeoutMs(options.watchTimeout);
  const request = requestOf(options);
  const environment = await client.environmentNamed(name);
  const staged = await client.stagedSession(environment.id);
  if (options.plan === true) {
    const rollout = await client.rollout(environment.id, staged?.id, request);
    printer.answer(rollout, () => rolloutLines(rollout));
    return;
  }
  const session = staged ?? (await client.configure(environment.id));
  const deployment = await client.deploySession(environment.id, session.id, request);
  if (options.watch === true) {
    printer.lines([`Deployment ${deployment} of ${environment.name} is accepted`]);
    return watchAndTell(context, client, deployment, { timeoutMs, printer });
  }
  printer.answer({ deployment, environment: environment.id }, () => [
    `Deployment ${deployment} of ${environment.name} is accepted`,
    `Watch it: torcello deployment show ${deployment} --watch`,
  ]);
}

function requestOf({ deliverWithin, supersedes, batch, maxFailures }: DeployOptions): DeployRequest {
  return {
    ...(deliverWithin === undefined ? {} : { deliverWithinMs: deliverWithinMs(deliverWithin) }),
    ...(supersedes === undefined ? {} : { supersedes }),
    ...(batch === undefined ? {} : { batch: requireBatch(batch) }),
    ...(maxFailures === undefined ? {} : { maxFailures: requireFailures(maxFailures) }),
  };
}

function requireBatch(text: string): number | string {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  if (/^([1-9]\d?|100)%$/.test(text)) return text;
  throw usageError(`--batch ${text} is no number of machines and no percentage`, '--batch 5 or --batch 20%');
}

function requireFailures(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw usageError(`--max-failures ${text} is no number of machines`, '--max-failures 2');
}
