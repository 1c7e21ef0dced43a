import { parseStageAddress } from '@torcello/contracts';
import type { Stage } from '@torcello/contracts';
import type { DeploymentRow, PlanRow } from '../database/tables.js';
import type { MachineOfModel, StageView } from '../deployments/view.js';
import { why } from './why.js';
import type { CauseCode } from './causes.js';

/** A stage as people see it: how far it is, and, while nothing of it was sent out, what it comes after. */
export function displayStages(of: {
  readonly stages: readonly Stage[];
  readonly plans: readonly PlanRow[];
  readonly machines: ReadonlyMap<string, MachineOfModel>;
  readonly deployment: DeploymentRow;
}): readonly StageView[] {
  const byStage = new Map<string, PlanRow[]>();
  for (const plan of of.plans) {
    if (plan.is_earlier === 1) continue;
    byStage.set(plan.stage, [...(byStage.get(plan.stage) ?? []), plan]);
  }
  return of.stages.map((stage) => {
    const plans = byStage.get(stage.name) ?? [];
    const planned = new Set(plans.map((plan) => plan.machine_id));
    const notStarted = stage.machines.filter((id) => !planned.has(id)).map((id) => of.machines.get(id)?.name ?? id);
    const state = stateOf(stage, plans);
    return {
      name: stage.name,
      needs: stage.needs,
      machines: stage.machines.length,
      state,
      ...(notStarted.length === 0 ? {} : { notStarted }),
      ...(state === 'waiting' ? { why: whyStage(stage, { ...of, byStage }) } : {}),
    };
  });
}

function stateOf(stage: Stage, plans: readonly PlanRow[]): StageView['state'] {
  if (plans.length < stage.machines.length) return 'waiting';
  return plans.some((plan) => plan.outcome === null) ? 'open' : 'ended';
}

function whyStage(
  stage: Stage,
  of: {
    readonly stages: readonly Stage[];
    readonly byStage: ReadonlyMap<string, readonly PlanRow[]>;
    readonly deployment: DeploymentRow;
  },
) {
  const { deployment, byStage, stages } = of;
  const open = stage.needs.filter((need) => !hasEnded(stages, byStage, need));
  const missing = open.length > 0 ? open : stage.needs;
  const ends = missing.flatMap((need) => (byStage.get(need) ?? []).map((plan) => plan.finished_at ?? 0));
  const since = open.length > 0 || ends.length === 0 ? deployment.accepted_at : Math.max(...ends);
  const names = { stage: stage.name, needs: missing.join(', '), deployment: deployment.id };
  return why(causeOf(stage, { open, deployment }), { sinceMs: since, names });
}

function hasEnded(stages: readonly Stage[], byStage: ReadonlyMap<string, readonly PlanRow[]>, name: string): boolean {
  const stage = stages.find((candidate) => candidate.name === name);
  const plans = byStage.get(name) ?? [];
  return stage !== undefined && plans.length === stage.machines.length && plans.every((plan) => plan.outcome !== null);
}

function causeOf(
  stage: Stage,
  of: { readonly open: readonly string[]; readonly deployment: DeploymentRow },
): CauseCode {
  const [first] = of.open;
  if (first === undefined) {
    const isLeft = of.deployment.finished_at !== null && stage.needs.length > 0;
    return isLeft ? 'stopped-at-failures' : 'waiting-for-conductor-takeover';
  }
  const [own, before] = [parseStageAddress(stage.name), parseStageAddress(first)];
  if (own.stage !== before.stage || own.serviceId !== before.serviceId) return 'waiting-stage-needs';
  return before.isGate ? 'waiting-gate' : 'waiting-batch';
}
