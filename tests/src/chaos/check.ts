import { createRequire } from 'node:module';
import path from 'node:path';
import type { Stack } from '../support/stack.js';
import { doneKey, isOutputOf, policies, readChaosLedger, stepNames } from './ledger.js';
import type { Ledger, Start } from './ledger.js';

/** What is read of a deployment when it is judged. */
export interface JudgedDeployment {
  readonly id: string;
  readonly state: string;
  /** Of one that was rejected. */
  readonly reason?: string;
  readonly plans: readonly JudgedPlan[];
}
export interface JudgedPlan {
  readonly planId: string;
  readonly machine: { readonly id: string; readonly name: string };
  readonly state: string;
  readonly reason?: string;
  readonly attempt: number;
}

export interface Findings {
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  readonly overlappingLeases: readonly string[];
  readonly outputGaps: readonly string[];
}

const outputWaitMs = 60_000;

/**
 * Compares what the system says with what the ledger knows. Takes the API down: it keeps the database to itself.
 * @param machinesEach - how many machines each deployment has.
 */
export async function judge(
  stack: Stack,
  { deployed, machinesEach }: { readonly deployed: readonly string[]; readonly machinesEach: number },
): Promise<Findings> {
  const ledger = readChaosLedger(path.join(stack.folder, 'ledger'));
  const deployments: JudgedDeployment[] = [];
  for (const id of deployed) deployments.push(await stack.request('GET', `/v1/deployments/${id}`));
  const outputGaps: string[] = [];
  for (const deployment of deployments) outputGaps.push(...(await gapsOf(stack, deployment, ledger)));
  await stack.killApi();
  return {
    lost: deployments.flatMap((deployment) => lostOf(deployment, machinesEach, ledger)),
    doubled: [...ledger.again, ...deployments.flatMap((deployment) => doubledOf(deployment, ledger))],
    overlappingLeases: overlaps(path.join(stack.folder, 'torcello.sqlite'), ledger),
    outputGaps,
  };
}

function lostOf(
  { id, state, reason = '', plans }: JudgedDeployment,
  machinesEach: number,
  ledger: Ledger,
): readonly string[] {
  const ends = plans.map((plan) => plan.state).join(', ');
  if (state !== 'succeeded') return [`${id} is ${state}: ${reason} (${ends})`];
  const steps = new Set(ledger.starts.filter(({ deployment }) => deployment === id).map(stepOf));
  const missing = machinesEach * stepNames.length - steps.size;
  const unfinished = [...steps].filter((step) => ![...ledger.done.keys()].some((key) => key.startsWith(`${step}+`)));
  return [
    ...(missing > 0 ? [`${id}: ${missing} steps never ran`] : []),
    ...unfinished.map((step) => `${step}: not done`),
  ];
}

const stepOf = ({ deployment, machine, step }: Start): string => [deployment, machine, step].join('+');

/**
 * A step may start once more in three cases only: the machine was restarted under it and its policy lets it run again, a
 * probe found that it had not done its work, or somebody resumed the deployment, which makes a plan of a later attempt.
 */
export function doubledOf({ id, plans }: JudgedDeployment, ledger: Ledger): readonly string[] {
  const attempts = new Map(plans.map(({ planId, attempt }) => [planId, attempt]));
  const last = new Map<string, Start>();
  const doubled: string[] = [];
  for (const start of ledger.starts.filter(({ deployment }) => deployment === id)) {
    const before = last.get(stepOf(start));
    last.set(stepOf(start), start);
    if (before !== undefined && !mayFollow({ before, start, attempts, ledger })) doubled.push(doneKey(start));
  }
  return doubled;
}

function mayFollow({
  before,
  start,
  attempts,
  ledger,
}: {
  readonly before: Start;
  readonly start: Start;
  readonly attempts: ReadonlyMap<string, number>;
  readonly ledger: Ledger;
}): boolean {
  if (before.plan !== start.plan) return (attempts.get(before.plan) ?? 0) < (attempts.get(start.plan) ?? 0);
  if (before.boot === start.boot) return false;
  const policy = policies[start.step];
  const doneAtMs = ledger.done.get(doneKey(start)) ?? Infinity;
  return policy === 'rerun' || (policy === 'check' && doneAtMs >= start.atMs);
}

/** An output may still be on its way when its deployment has ended, so it gets a moment. */
async function gapsOf(stack: Stack, deployment: JudgedDeployment, ledger: Ledger): Promise<readonly string[]> {
  for (const endsAt = performance.now() + outputWaitMs; ;) {
    const gaps = await look(stack, deployment, ledger);
    if (gaps.length === 0 || performance.now() > endsAt) return gaps;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function look(stack: Stack, { id }: JudgedDeployment, ledger: Ledger): Promise<readonly string[]> {
  const { outputs } = await stack.request<{
    outputs: readonly { planId: string; machine: string; step: string; text: string; outcome: string }[];
  }>('GET', `/v1/deployments/${id}/output`);
  const wrong = outputs.flatMap(({ planId, machine, step, text, outcome }) => {
    const of = { deployment: id, machine, step, plan: planId };
    const starts = ledger.starts.filter((start) => doneKey(start) === doneKey(of)).length;
    const own = text.replaceAll(/^torcello: .*\n/gm, '');
    const isGood = isOutputOf(step, own, { starts, hasEnded: outcome === 'succeeded' });
    return isGood ? [] : [`${doneKey(of)}: ${JSON.stringify(text)}`];
  });
  const there = new Set(outputs.map(({ planId, machine, step }) => [id, machine, step, planId].join('+')));
  const absent = [...ledger.done.keys()].filter((key) => key.startsWith(`${id}+`) && !there.has(key));
  return [...wrong, ...absent.map((key) => `${key}: no output`)];
}

interface Row {
  readonly deployment_id: string;
  readonly epoch: number | bigint;
  readonly event: string;
}

/** Behind the API's back: epochs may only rise, in the history and among the plans that a machine started. */
function overlaps(file: string, ledger: Ledger): readonly string[] {
  const { DatabaseSync } = createRequire(import.meta.url)('@photostructure/sqlite') as {
    DatabaseSync: new (file: string) => { prepare(sql: string): { all(): readonly unknown[] }; close(): void };
  };
  const database = new DatabaseSync(file);
  const fallen = database
    .prepare(
      `select later.deployment_id, later.epoch, later.event from history later join history earlier
       on earlier.deployment_id = later.deployment_id and earlier.n < later.n
       where later.epoch < earlier.epoch and later.epoch > 0`,
    )
    .all() as readonly Row[];
  const scheduled = database
    .prepare(`select deployment_id, epoch, event from history where type = 'planScheduled'`)
    .all() as readonly Row[];
  database.close();
  const epochs = new Map(
    scheduled.map(({ event, epoch }) => [
      (JSON.parse(event) as { plan: { planId: string } }).plan.planId,
      Number(epoch),
    ]),
  );
  const highest = new Map<string, number>();
  const older = ledger.starts.filter((start) => {
    const [key, epoch] = [`${start.deployment}+${start.machine}`, epochs.get(start.plan) ?? 0];
    const isOlder = epoch < (highest.get(key) ?? 0);
    highest.set(key, Math.max(epoch, highest.get(key) ?? 0));
    return isOlder;
  });
  return [...fallen.map((row) => `${row.deployment_id}: ${row.event}`), ...older.map(doneKey)];
}
