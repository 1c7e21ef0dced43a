import type { ApiClient } from '../client/api-client.js';
import type { DeploymentView } from '../client/views.js';
import type { CliContext } from '../context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { deploymentLine, exitCodeOfDeployment, hasFailed, outputText } from '../output/deployment-text.js';
import type { Printer } from '../output/printer.js';
import { deploymentEvents } from './deployment-events.js';
import { planDisplay, silentDisplay } from './plan-display.js';

export interface WatchOptions {
  /** The watch ends after this time, the deployment does not. Default: no end. */
  readonly timeoutMs?: number | undefined;
}

type WatchEnd =
  | { readonly why: 'finished'; readonly view: DeploymentView }
  | { readonly why: 'timedOut' | 'interrupted' };

const failedStepLinesMax = 10;
const failedStepBytesMax = 8_192;
/** Failed machines whose last lines are shown unasked. */
const failedPlansShownMax = 5;

/** Follows a deployment to its end, says how it ended and why, and resolves with the exit code that tells it. */
export async function watchAndTell(
  context: CliContext,
  client: ApiClient,
  deploymentId: string,
  options: WatchOptions & { readonly printer: Printer },
): Promise<ExitCode> {
  const { printer } = options;
  const end = await follow(context, client, deploymentId, options);
  if (end.why === 'finished') {
    await tellEnd(client, end.view, printer);
    return exitCodeOfDeployment(end.view);
  }
  const view = await client.deployment(deploymentId);
  printer.answer(view, () => [
    `${end.why === 'timedOut' ? 'The watch timed out' : 'The watch was interrupted'}; the deployment goes on.`,
    ...waiting(view),
    `Watch it again: torcello deployment show ${deploymentId} --watch`,
  ]);
  return end.why === 'timedOut' ? exitCodes.watchTimedOut : exitCodes.interrupted;
}

/** How a finished deployment ended, with the last lines of the steps that failed. */
export async function tellEnd(client: ApiClient, view: DeploymentView, printer: Printer): Promise<void> {
  const failures = printer.isJson ? [] : await failureLines(client, view);
  printer.answer(view, () => [...failures, deploymentLine(view), ...waiting(view)]);
}

/** The last lines of every failed step, of the first few machines. */
export async function failureLines(client: ApiClient, view: DeploymentView): Promise<readonly string[]> {
  const failed = view.plans.filter(hasFailed);
  const lines: string[] = [];
  for (const plan of failed.slice(0, failedPlansShownMax)) {
    const step = plan.steps?.find(({ state }) => state !== 'succeeded')?.name ?? plan.step ?? undefined;
    const query = { machine: plan.machine.name, step, tailBytes: failedStepBytesMax };
    const outputs = await client.output(view.id, query);
    const ofPlan = outputs.filter(({ planId }) => planId === plan.planId);
    lines.push(...ofPlan.flatMap((output) => outputText(output, failedStepLinesMax)));
  }
  const left = failed.length - failedPlansShownMax;
  return left > 0 ? [...lines, `… and ${left} more failed; torcello logs ${view.id} shows all`] : lines;
}

function waiting(view: DeploymentView): readonly string[] {
  const waitsFor = view.waitsFor ?? undefined;
  return waitsFor === undefined ? [] : [`It waits for ${waitsFor}`];
}

async function follow(
  context: CliContext,
  client: ApiClient,
  deploymentId: string,
  options: WatchOptions & { readonly printer: Printer },
): Promise<WatchEnd> {
  const ending = new AbortController();
  let why: 'timedOut' | 'interrupted' = 'interrupted';
  const unlisten = context.signals.listen(() => ending.abort());
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : context.clock.after(options.timeoutMs, () => {
          why = 'timedOut';
          ending.abort();
        });
  const display = options.printer.isJson ? silentDisplay : planDisplay(context, context.stdout);
  try {
    const events = deploymentEvents(client.http, deploymentId, { clock: context.clock, signal: ending.signal });
    for await (const event of events) {
      if (event.type === 'plan') display.plan(event.plan);
      if (event.type === 'report') display.note(event.text);
      if (event.type !== 'finished') continue;
      for (const plan of event.view.plans) display.plan(plan);
      return { why: 'finished', view: event.view };
    }
    return { why: 'finished', view: await client.deployment(deploymentId) };
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    return { why };
  } finally {
    display.close();
    timer?.cancel();
    unlisten();
  }
}
