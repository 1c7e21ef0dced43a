import type { PlanRow, StageRow, WaitingPlans, WhyView } from '../client/views.js';
import { stageName, waitOf } from './deployment-text.js';
import { formatAge, parseInstant, safeText } from './text.js';

/** What something waits for, since when, until when, what it is known from, and the command that changes it. */
export function whyText(why: WhyView, nowMs: number): readonly string[] {
  const evidence = evidenceText(why.evidence);
  const cure = why.cure ?? undefined;
  return [
    safeText(`${why.text}${spanText(why, nowMs)} [${why.code}]`),
    ...(evidence === undefined ? [] : [safeText(`  known from: ${evidence}`)]),
    ...(cure === undefined ? [] : [safeText(`  try: ${cure}`)]),
  ];
}

const causesShownMax = 3;

/** What plans wait for, one line a cause: how many, for what, since when, and what changes it. */
export function waitingLines(plans: readonly PlanRow[], nowMs: number): readonly string[] {
  const byCode = groupByCode(waitingPlans(plans));
  return [...byCode.values()].slice(0, causesShownMax).map((group) => {
    const [first] = group;
    if (first === undefined) return '';
    return causeLine({ machine: first.plan.machine.name, machines: group.length, why: first.why }, nowMs);
  });
}

export function causeLine({ machine, machines, why }: WaitingPlans, nowMs: number): string {
  const who = machines === 1 ? machine : `${machine} and ${machines - 1} more`;
  const cure = why.cure ?? undefined;
  return safeText(`${who}: ${why.text}${spanText(why, nowMs)}${cure === undefined ? '' : `; try: ${cure}`}`);
}

const stagesShownMax = 5;
const namesShownMax = 5;

/** Stages of which something was not started, with the machines by name and what the stage comes after. */
export function stageLines(stages: readonly StageRow[]): readonly string[] {
  const left = stages.filter(({ notStarted = [] }) => notStarted.length > 0);
  const lines = left.slice(0, stagesShownMax).map(({ name, notStarted = [], why }) => {
    const names = notStarted.slice(0, namesShownMax).join(', ');
    const more = notStarted.length > namesShownMax ? ` and ${notStarted.length - namesShownMax} more` : '';
    const cure = why?.cure ?? undefined;
    const reason =
      why === undefined || why === null ? '' : `: ${why.text}${cure === undefined ? '' : `; try: ${cure}`}`;
    return safeText(`Not started in ${stageName(name)}: ${names}${more}${reason}`);
  });
  return left.length > stagesShownMax ? [...lines, `… and ${left.length - stagesShownMax} more stages`] : lines;
}

interface Waiting {
  readonly plan: PlanRow;
  readonly why: WhyView;
}

function waitingPlans(plans: readonly PlanRow[]): readonly Waiting[] {
  return plans.flatMap((plan) => {
    const why = waitOf(plan);
    return why === undefined ? [] : [{ plan, why }];
  });
}

function groupByCode(waiting: readonly Waiting[]): ReadonlyMap<string, readonly Waiting[]> {
  const groups = new Map<string, Waiting[]>();
  for (const item of waiting) groups.set(item.why.code, [...(groups.get(item.why.code) ?? []), item]);
  return groups;
}

function spanText({ since, until }: WhyView, nowMs: number): string {
  const sinceMs = parseInstant(since);
  const parts = [
    ...(sinceMs === undefined ? [] : [`for ${formatAge(nowMs - sinceMs)}, since ${since ?? ''}`]),
    ...(until === undefined || until === null ? [] : [`until ${until}`]),
  ];
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}

/** `at` is the instant that every evidence has; the rest of it is told as it is. */
function evidenceText(evidence: unknown): string | undefined {
  if (evidence === undefined || evidence === null) return undefined;
  if (typeof evidence === 'string') return evidence;
  const { at, becomesUnknownAt, ...more } = evidence as Readonly<Record<string, unknown>>;
  const parts = [
    ...(typeof at === 'string' ? [`last proof ${at}`] : []),
    ...(typeof becomesUnknownAt === 'string' ? [`unknown from ${becomesUnknownAt}`] : []),
    ...Object.entries(more).map(
      ([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    ),
  ];
  return parts.length === 0 ? undefined : parts.join(', ');
}
