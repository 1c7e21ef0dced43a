import { readOutputs } from '@torcello/api/testing';
import { apply, decide, emptyDeployment } from '@torcello/contracts';
import type { DeploymentState } from '@torcello/contracts';
import { deploymentsOf, historyOf } from './records.js';
import type { HistoryRecord } from './records.js';
import type { World } from './world.js';

/** Compares what the system says with what the machines saw; what does not fit goes into the ledger. */
export async function checkWorld(world: World): Promise<void> {
  for (const flaw of await outputFlaws(world)) world.ledger.violation(flaw);
  for (const { id, state } of deploymentsOf(world.api.database)) {
    const history = historyOf(world.api.database, id);
    for (const { epoch, event } of history) world.ledger.note(`${id} ${epoch} ${JSON.stringify(event)}`);
    checkEpochs(world, id, history);
    const end = checkReplay(world, id, history);
    if (state === 'succeeded') checkDone(world, id, end);
  }
}

function checkEpochs({ ledger }: World, id: string, history: readonly HistoryRecord[]): void {
  let highest = 0;
  for (const { epoch } of history) {
    if (epoch > 0 && epoch < highest) ledger.violation(`overlapping leases: ${id} has ${epoch} after ${highest}`);
    highest = Math.max(highest, epoch);
  }
}

/** Every decision in a history is one that the events before it explain. */
function checkReplay({ ledger }: World, id: string, history: readonly HistoryRecord[]): DeploymentState {
  let state = emptyDeployment;
  for (const { event } of history) {
    const intents = event.type === 'accepted' ? [] : decide(state);
    if (event.type === 'planScheduled') {
      const { machine, stage } = event.plan;
      const isDecided = intents.some(
        (intent) => intent.do === 'schedule' && intent.machine === machine && intent.stage === stage,
      );
      if (!isDecided) ledger.violation(`${id}: nobody decided to plan ${machine} in ${stage}`);
    }
    state = apply(state, event);
  }
  return state;
}

/** What a deployment calls done was done by the machines. */
function checkDone({ ledger }: World, id: string, { plans }: DeploymentState): void {
  for (const { planId, outcome } of plans) {
    if (outcome === 'succeeded' && !ledger.hasStarted(planId)) ledger.violation(`lost: ${id} says that ${planId} ran`);
  }
}

/** Stored output of steps that have ended and that is not what they printed, without a gap or a repeat. */
export async function outputFlaws({ api, agents }: World): Promise<readonly string[]> {
  const { services } = api;
  if (services === undefined) throw new TypeError('the API is away');
  const printed = new Map(agents.flatMap(({ machine }) => [...machine.printed]));
  const flaws: string[] = [];
  for (const { id: deploymentId } of deploymentsOf(api.database)) {
    const everything = { deploymentId, machine: undefined, step: undefined, tailBytes: 1_000_000 };
    for (const { planId, step, text, outcome } of await readOutputs(services.context.store.db, everything)) {
      const whole = printed.get(`${planId}/${step}`) ?? '';
      if (outcome === 'succeeded' ? text === whole : whole.startsWith(text)) continue;
      flaws.push(`output: ${planId}/${step} (${outcome}) is ${JSON.stringify(text)}, not ${JSON.stringify(whole)}`);
    }
  }
  return flaws;
}
