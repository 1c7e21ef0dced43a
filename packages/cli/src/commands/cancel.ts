import { parseDuration } from '@torcello/contracts';
import { sleep } from '@torcello/platform';
import type { Command } from 'commander';
import type { ApiClient } from '../client/api-client.js';
import type { DeploymentView, PlanRow } from '../client/views.js';
import { CliError, usageError } from '../cli-error.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { cancelAnswer, cancelText } from '../output/cancel-text.js';
import {
  currentPlans,
  deploymentLine,
  exitCodeOfDeployment,
  hasEnded,
  isOpenDeployment,
  isSilent,
  stageName,
} from '../output/deployment-text.js';
import { parseInstant, safeText } from '../output/text.js';
import { untilStopped } from '../watch/until-stopped.js';
import { apiCommand, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';
import { watchTimeoutMs } from './environment.js';

interface CancelOptions extends CommonOptions {
  readonly grace: string;
  readonly watch?: true;
  readonly watchTimeout?: string;
}

/** Beyond the grace: so long the answers of machines that are there may take. */
const answersMsMax = 10_000;
const pollMs = 500;

/** `torcello cancel`: ends a deployment and says for every machine what became of its part. */
export function cancelCommand(run: CommandRun): Command {
  return apiCommand<CancelOptions>(
    run,
    'cancel <deployment>',
    'end a deployment; says for every machine whether it never started, was stopped, had finished, or is unknown',
    cancel,
  )
    .option('--grace <duration>', 'so long running steps may take to end by themselves', '10s')
    .option('--watch', 'wait until every machine has answered, also those that are away')
    .option('--watch-timeout <duration>', 'end the watch after this time, as 10m; the answers still come');
}

async function cancel({ client, printer, context, options }: ActionWorld<CancelOptions>, id = ''): Promise<ExitCode> {
  const graceMs = parseDuration(options.grace);
  if (graceMs === undefined) throw usageError(`--grace ${options.grace} is no duration`, '--grace 10s');
  const timeoutMs = watchTimeoutMs(options.watchTimeout);
  await client.cancel(id, graceMs);
  const patienceMs = options.watch === true ? timeoutMs : graceMs + answersMsMax;
  const told = new Set<string>();
  const tell = (view: DeploymentView): void => {
    if (options.watch === true) printer.lines(freshAnswers(view, told));
  };
  const { result, end } = await untilStopped(context, patienceMs, (signal) =>
    answers({ client, context, id, tell, signal, waitsForSilent: options.watch === true }),
  );
  const now = result ?? (await client.deployment(id));
  const unplanned = unplannedMachines(now);
  printer.answer(summaryOf(now, unplanned), () => [
    ...freshAnswers(now, told, { withUnknown: true }),
    ...unplanned.map(({ machine, stage }) =>
      safeText(`${machine} ${stageName(stage)}: never started (no plan was sent)`),
    ),
    deploymentLine(now),
    ...(currentPlans(now.plans).some(isUnsettled)
      ? [`Open answers settle by themselves: torcello deployment show ${id}`]
      : []),
  ]);
  if (end === 'interrupted') return exitCodes.interrupted;
  if (end === 'timedOut' && options.watch === true) return exitCodes.watchTimedOut;
  return isOpenDeployment(now) ? exitCodes.cancelled : exitCodeOfDeployment(now);
}

/** The first view in which no answer is open any more. The API tells nothing by itself about a finished deployment. */
async function answers(watch: {
  readonly client: ApiClient;
  readonly context: ActionWorld<CancelOptions>['context'];
  readonly id: string;
  readonly tell: (view: DeploymentView) => void;
  readonly signal: AbortSignal;
  readonly waitsForSilent: boolean;
}): Promise<DeploymentView> {
  const { client, context, id, tell, signal, waitsForSilent } = watch;
  while (true) {
    const view = await client.deployment(id, signal).catch(unlessAway);
    if (view !== undefined) tell(view);
    if (view !== undefined && !isOpenDeployment(view)) {
      const open = currentPlans(view.plans).filter(isUnsettled);
      const nowMs = context.clock.now();
      if (open.every((plan) => !waitsForSilent && isAway(plan, nowMs))) return view;
    }
    await sleep(context.clock, pollMs, signal);
  }
}

/** The cancel is accepted: an API that is away meanwhile is asked again. */
function unlessAway(error: unknown): undefined {
  if (!(error instanceof CliError && error.exitCode === exitCodes.unreachable)) throw error;
}

/** Nothing is to be expected from its machine soon. */
function isAway(plan: PlanRow, nowMs: number): boolean {
  const untilMs = parseInstant(plan.evidence?.becomesUnknownAt);
  return isSilent(plan) || (untilMs !== undefined && untilMs < nowMs);
}

function isUnsettled(plan: PlanRow): boolean {
  return cancelAnswer(plan) === 'unknown';
}

/** One line a plan that has an answer and was not told before. */
function freshAnswers(
  view: DeploymentView,
  told: Set<string>,
  { withUnknown = false }: { readonly withUnknown?: boolean } = {},
): readonly string[] {
  const fresh = currentPlans(view.plans).filter(
    (plan) => !told.has(plan.planId) && (withUnknown || (hasEnded(plan) && !isUnsettled(plan))),
  );
  for (const plan of fresh) told.add(plan.planId);
  const stages = new Set(view.plans.map(({ stage }) => stage));
  return fresh.map((plan) => {
    const stage = stages.size > 1 ? ` ${stageName(plan.stage)}` : '';
    return safeText(`${plan.machine.name}${stage}: ${cancelText(plan)}`);
  });
}

interface Unplanned {
  readonly machine: string;
  readonly stage: string;
}

/** Machines that never got a plan of a stage, because the stage had not begun. */
function unplannedMachines({ stages = [] }: DeploymentView): readonly Unplanned[] {
  return stages.flatMap(({ name, notStarted = [] }) => notStarted.map((machine) => ({ machine, stage: name })));
}

function summaryOf(view: DeploymentView, unplanned: readonly Unplanned[]): unknown {
  return {
    deployment: view.id,
    state: view.state,
    machines: [
      ...currentPlans(view.plans).map((plan) => ({
        machine: plan.machine.name,
        stage: plan.stage,
        answer: cancelAnswer(plan),
        state: plan.state,
        ...(plan.stopped === undefined || plan.stopped === null ? {} : { stopped: plan.stopped }),
      })),
      ...unplanned.map((place) => ({ ...place, answer: 'neverStarted' })),
    ],
  };
}
