import type { Command } from 'commander';
import type { ExitCode } from '../exit-codes.js';
import { watchAndTell } from '../watch/watch-deployment.js';
import { apiCommand, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';
import { watchTimeoutMs } from './environment.js';

interface DeployOptions extends CommonOptions {
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
    .option('--watch', 'follow the deployment to its end; the exit code tells it')
    .option('--watch-timeout <duration>', 'end the watch after this time, as 10m; the deployment goes on');
}

async function deploy(world: ActionWorld<DeployOptions>, name = ''): Promise<ExitCode | void> {
  const { client, printer, context, options } = world;
  const timeoutMs = watchTimeoutMs(options.watchTimeout);
  const environment = await client.environmentNamed(name);
  const session = (await client.stagedSession(environment.id)) ?? (await client.configure(environment.id));
  const deployment = await client.deploySession(environment.id, session.id);
  if (options.watch === true) {
    printer.lines([`Deployment ${deployment} of ${environment.name} is accepted`]);
    return watchAndTell(context, client, deployment, { timeoutMs, printer });
  }
  printer.answer({ deployment, environment: environment.id }, () => [
    `Deployment ${deployment} of ${environment.name} is accepted`,
    `Watch it: torcello deployment show ${deployment} --watch`,
  ]);
}
