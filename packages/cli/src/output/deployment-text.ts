import type { DeploymentView, OutputView, PlanRow, WhyView } from '../client/views.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { cut, formatTable, type Column } from './table.js';
import { formatAge, parseInstant, safeText } from './text.js';

/** How a plan can end; every other state is an open one. */
const endStates: ReadonlySet<string> = new Set([
  'succeeded',
  'failed',
  'expired',
  'cancelled',
  'superseded',
  'interrupted',
  'refused',
  'replaced',
]);

/** States of silence: what is shown is only what was known last. */
const silentStates: ReadonlySet<string> = new Set(['unknown', 'lost']);

const columns: readonly Column[] = [
  { title: 'MACHINE' },
  { title: 'STAGE' },
  { title: 'STEP' },
  { title: 'STATE' },
  { title: 'SINCE', align: 'right' },
  { title: 'LAST PROOF', align: 'right' },
  { title: 'REASON' },
];

export function hasEnded(plan: PlanRow): boolean {
  return endStates.has(plan.state);
}

export function hasFailed(plan: PlanRow): boolean {
  return hasEnded(plan) && plan.state !== 'succeeded';
}

const deploymentEndStates: ReadonlySet<string> = new Set(['succeeded', 'failed', 'cancelled', 'superseded']);

/** Something of it is still to be decided or done. */
export function isOpenDeployment({ state }: DeploymentView): boolean {
  return !deploymentEndStates.has(state);
}

/** Nothing was heard of it for long. */
export function isSilent(plan: PlanRow): boolean {
  return silentStates.has(plan.state);
}

/** What it waits for; what runs waits for nothing but itself. */
export function waitOf({ state, why }: PlanRow): WhyView | undefined {
  return state === 'running' ? undefined : (why ?? undefined);
}

/** The plans that count: of every machine and stage the last attempt. */
export function currentPlans(plans: readonly PlanRow[]): readonly PlanRow[] {
  const last = new Map<string, PlanRow>();
  for (const plan of plans) {
    const place = `${plan.machine.id}/${plan.stage}`;
    const other = last.get(place);
    if (other === undefined || (other.attempt ?? 1) <= (plan.attempt ?? 1)) last.set(place, plan);
  }
  return plans.filter((plan) => last.get(`${plan.machine.id}/${plan.stage}`) === plan);
}

export interface TableWindow {
  readonly widthMax?: number | undefined;
  readonly rowsMax?: number | undefined;
  /** Colours the line of a plan; must not change its width. */
  readonly paint?: (plan: PlanRow, line: string) => string;
}

/**
 * The plans as a table that fits a window: what failed and what runs comes first when there is not room for all.
 * Without `rowsMax` all of them.
 */
export function planTable(plans: readonly PlanRow[], nowMs: number, window: TableWindow = {}): readonly string[] {
  const shown = choose(plans, window.rowsMax ?? Number.POSITIVE_INFINITY);
  const lines = formatTable(
    columns,
    shown.map((plan) => cells(plan, nowMs)),
    window.widthMax,
  );
  const painted = lines.map((line, at) => {
    const plan = shown[at - 1];
    return plan === undefined || window.paint === undefined ? line : window.paint(plan, line);
  });
  const left = plans.length - shown.length;
  return left === 0 ? painted : [...painted, cut(`… and ${left} more: ${countStates(plans)}`, window.widthMax ?? 200)];
}

/** `2 running, 898 stored`. */
export function countStates(plans: readonly PlanRow[]): string {
  const counts = new Map<string, number>();
  for (const { state } of plans) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}

/** One line for a pipe: what a plan changed to. */
export function planLine(plan: PlanRow): string {
  const step = plan.step ?? undefined;
  const parts = [
    plan.since,
    plan.machine.name,
    stageName(plan.stage),
    ...(step === undefined ? [] : [step]),
    plan.state,
  ];
  const reason = plan.reason ?? undefined;
  const proof = isSilent(plan) ? plan.evidence?.at : undefined;
  const why = waitOf(plan)?.text;
  const notes = [...(reason === undefined ? [] : [reason]), ...(proof === undefined ? [] : [`last proof ${proof}`])];
  const line = `${parts.join(' ')}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`;
  return safeText(why === undefined ? line : `${line}: ${why}`);
}

/** How a deployment stands, in one line. */
export function deploymentLine(view: DeploymentView): string {
  const reason = view.reason ?? undefined;
  const took = durationOf(view);
  return safeText(
    `Deployment ${view.id} (${view.action} of ${view.environmentName}): ${view.state}` +
      `${took === undefined ? '' : ` after ${took}`}${reason === undefined ? '' : `: ${reason}`}`,
  );
}

/** The exit code that tells how a deployment ended; an open one is fine so far. */
export function exitCodeOfDeployment(view: DeploymentView): ExitCode {
  if (view.state === 'cancelled' || view.state === 'superseded') return exitCodes.cancelled;
  if (view.state !== 'failed') return exitCodes.ok;
  const plans = currentPlans(view.plans);
  const failed = plans.filter(hasFailed);
  if (failed.length > 0 && failed.every(({ state }) => state === 'expired')) return exitCodes.unreachable;
  return plans.some(({ state }) => state === 'succeeded') ? exitCodes.someFailed : exitCodes.allFailed;
}

/** Output of a step for people, under a line that says whose it is and what was left out. */
export function outputText(output: OutputView, linesMax: number = Number.POSITIVE_INFINITY): readonly string[] {
  const lines = safeText(output.text, { keepLines: true }).replace(/\n$/, '').split('\n');
  const shown = output.text === '' ? ['(no output)'] : lines.slice(-linesMax);
  const isCut = output.isCut ? cutText(output.cut) : '';
  const left = output.fromOffset > 0 ? `, from byte ${output.fromOffset} of ${output.totalBytes}` : '';
  const outcome = output.outcome ?? undefined;
  const state = outcome === undefined ? '' : ` ${outcome}`;
  return [
    safeText(`==> ${output.machine} ${stageName(output.stage)} ${output.step}${state}${left}${isCut} <==`),
    ...shown,
  ];
}

/** What is known of an output that was longer than is kept. */
function cutText(cut: OutputView['cut']): string {
  if (cut === undefined || cut === null) return ', cut';
  const digest = cut.sha256 === undefined || cut.sha256 === null ? '' : `, SHA-256 ${cut.sha256}`;
  return `, cut at byte ${cut.atBytes} of ${cut.writtenBytes}${digest}`;
}

function cells(plan: PlanRow, nowMs: number): readonly string[] {
  const sinceMs = parseInstant(plan.since);
  const age = sinceMs === undefined ? '' : formatAge(nowMs - sinceMs);
  const proofMs = hasEnded(plan) ? undefined : parseInstant(plan.evidence?.at);
  const proof = proofMs === undefined ? '-' : `${formatAge(nowMs - proofMs)} ago`;
  const attempt = plan.attempt !== undefined && plan.attempt > 1 ? ` (attempt ${plan.attempt})` : '';
  const reason = plan.reason ?? waitOf(plan)?.text ?? '';
  return [plan.machine.name, stageName(plan.stage) + attempt, plan.step ?? '-', plan.state, age, proof, reason];
}

/** A stage without the id of its service, `<service id>/<stage>`, which says nothing to people. */
export function stageName(stage: string): string {
  return stage.slice(stage.indexOf('/') + 1);
}

function choose(plans: readonly PlanRow[], rowsMax: number): readonly PlanRow[] {
  if (plans.length <= rowsMax) return plans;
  return plans.toSorted((a, b) => urgency(a) - urgency(b)).slice(0, rowsMax);
}

function urgency(plan: PlanRow): number {
  if (hasFailed(plan)) return 0;
  if (plan.state === 'running' || isSilent(plan)) return 1;
  return hasEnded(plan) ? 3 : 2;
}

function durationOf(view: DeploymentView): string | undefined {
  const from = parseInstant(view.acceptedAt);
  const to = parseInstant(view.finishedAt);
  return from === undefined || to === undefined ? undefined : formatAge(to - from);
}
