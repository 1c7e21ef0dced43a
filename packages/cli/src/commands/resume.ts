import type { Command } from 'commander';
import type { ApiClient } from '../client/api-client.js';
import { CliError } from '../cli-error.js';
import type { ExitCode } from '../exit-codes.js';
import { watchAndTell } from '../watch/watch-deployment.js';
import { apiCommand, gather, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';
import { deliverWithinMs, watchTimeoutMs } from './environment.js';

interface ResumeOptions extends CommonOptions {
  readonly package?: readonly string[];
  readonly deliverWithin?: string;
  readonly watch?: true;
  readonly watchTimeout?: string;
}

/** `torcello resume`: another attempt of what failed and of what never started. */
export function resumeCommand(run: CommandRun): Command {
  return apiCommand<ResumeOptions>(
    run,
    'resume <deployment>',
    'run again the machines that failed or never started, from the failed step',
    resume,
  )
    .option('--package <fqn@version>', 'use this corrected package from now on; may be repeated', gather)
    .option('--deliver-within <duration>', 'instead of what the deployment was given, as 5d; it counts from now')
    .option('--watch', 'follow the deployment to its end; the exit code tells it')
    .option('--watch-timeout <duration>', 'end the watch after this time, as 10m; the deployment goes on');
}

async function resume(
  { client, printer, context, options }: ActionWorld<ResumeOptions>,
  id = '',
): Promise<ExitCode | void> {
  const timeoutMs = watchTimeoutMs(options.watchTimeout);
  const packages = await fixes(client, id, options.package ?? []);
  const { deliverWithin } = options;
  await client.resume(id, {
    ...(Object.keys(packages).length === 0 ? {} : { packages }),
    ...(deliverWithin === undefined ? {} : { deliverWithinMs: deliverWithinMs(deliverWithin) }),
  });
  if (options.watch === true) {
    printer.lines([`Deployment ${id} goes on`]);
    return watchAndTell(context, client, id, { timeoutMs, printer });
  }
  printer.answer({ deployment: id, packages }, () => [
    `Deployment ${id} goes on`,
    `Watch it: torcello deployment show ${id} --watch`,
  ]);
}

/** Which services of the deployment's environment get which package. @throws CliError `unknown_service`. */
async function fixes(
  client: ApiClient,
  deploymentId: string,
  names: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  if (names.length === 0) return {};
  const view = await client.deployment(deploymentId);
  const { services = [] } = await client.environment(view.environmentId);
  const found: Record<string, string> = {};
  for (const name of names) {
    const fixed = await client.packageNamed(name);
    const fitting = services.filter((service) => service['?'].type.split('/')[0] === fixed.fully_qualified_name);
    if (fitting.length === 0) {
      throw new CliError(
        'unknown_service',
        `${view.environmentName} has no application ${fixed.fully_qualified_name}`,
        {
          cure: `torcello environment show ${view.environmentName} shows what it has`,
        },
      );
    }
    for (const service of fitting) found[service['?'].id] = fixed.id;
  }
  return found;
}
