import type { ApiClient } from '../client/api-client.js';
import type { DeploymentView } from '../client/views.js';
import type { CliContext } from '../context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import {
  currentPlans,
  deploymentLine,
  exitCodeOfDeployment,
  hasFailed,
  outputText,
} from '../output/deployment-text.js';
import type { Printer } from '../output/printer.js';
import { safeText } from '../output/text.js';
import { stageLines, waitingLines, whyText } from '../output/why-text.js';
import { deploymentEvents } from './deployment-events.js';
import { planDisplay, silentDisplay } from './plan-display.js';
import { untilStopped, type CutShort } from './until-stopped.js';

export interface WatchOptions {
  /** The watch ends after this time, the deployment does not. Default: no end. */
  readonly timeoutMs?: number | undefined;
}

type WatchEnd = { readonly why: 'finished'; readonly view: DeploymentView } | { readonly why: CutShort };

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
    await tellEnd(client, end.view, { printer, nowMs: context.clock.now() });
    return exitCodeOfDeployment(end.view);
  }
  const view = await client.deployment(deploymentId).catch(() => undefined);
  printer.answer(view ?? { id: deploymentId }, () => [
    `${end.why === 'timedOut' ? 'The watch timed out' : 'The watch was interrupted'}; the deployment goes on.`,
    ...(view === undefined ? [] : waiting(view, context.clock.now())),
    `Watch it again: torcello deployment show ${deploymentId} --watch`,
  ]);
  return end.why === 'timedOut' ? exitCodes.watchTimedOut : exitCodes.interrupted;
}

/** How a finished deployment ended, with the last lines of the steps that failed. */
async function tellEnd(
  client: ApiClient,
  view: DeploymentView,
  { printer, nowMs }: { readonly printer: Printer; readonly nowMs: number },
): Promise<void> {
  const failures = printer.isJson ? [] : await failureLines(client, view);
  printer.answer(view, () => [...failures, deploymentLine(view), ...waiting(view, nowMs)]);
}

/** The last lines of every failed step, of the first few machines. */
export async function failureLines(client: ApiClient, view: DeploymentView): Promise<readonly string[]> {
  const failed = currentPlans(view.plans).filter(hasFailed);
  const lines: string[] = [];
  for (const plan of failed.slice(0, failedPlansShownMax)) {
    const step = plan.steps?.find(({ state }) => state !== 'succeeded')?.name ?? plan.step ?? undefined;
    const query = { machine: plan.machine.name, step, tailBytes: failedStepBytesMax };
    const { outputs } = await client.output(view.id, query);
    const ofPlan = outputs.filter(({ planId }) => planId === plan.planId);
    lines.push(...ofPlan.flatMap((output) => outputText(output, failedStepLinesMax)));
  }
  const left = failed.length - failedPlansShownMax;
  return left > 0 ? [...lines, `… and ${left} more that did not succeed; torcello logs ${view.id} shows all`] : lines;
}

/** What the deployment waits for, and its plans; what of it was not started. */
export function waiting(view: DeploymentView, nowMs: number): readonly string[] {
  const why = view.why ?? undefined;
  const waitsFor = view.waitsFor ?? undefined;
  const whole = why !== undefined ? whyText(why, nowMs) : waitsFor === undefined ? [] : [`It waits for ${waitsFor}`];
  const leftAlone = view.leftAlone ?? [];
  return [
    ...whole.map((line) => safeText(line)),
    ...waitingLines(view.plans, nowMs),
    ...stageLines(view.stages ?? []),
    ...leftAlone.map((name) => safeText(`Left alone: ${name}`)),
  ];
}

async function follow(
  context: CliContext,
  client: ApiClient,
  deploymentId: string,
  options: WatchOptions & { readonly printer: Printer },
): Promise<WatchEnd> {
  const display = options.printer.isJson ? silentDisplay : planDisplay(context, context.stdout);
  try {
    const { result, end } = await untilStopped(context, options.timeoutMs, async (signal) => {
      for await (const event of deploymentEvents(client.http, deploymentId, { clock: context.clock, signal })) {
        if (event.type === 'plan') display.plan(event.plan);
        if (event.type === 'report') display.note(event.text);
        if (event.type === 'away') display.note('The API is away; the watch goes on when it is back');
        if (event.type !== 'finished') continue;
        for (const plan of event.view.plans) display.plan(plan);
        return event.view;
      }
      return client.deployment(deploymentId, signal);
    });
    if (result !== undefined) return { why: 'finished', view: result };
    return { why: end === 'timedOut' ? 'timedOut' : 'interrupted' };
  } finally {
    display.close();
  }
}
