/**
 * What the programs must agree on about machines whose agent is a real `muranoagent`: names of queues, and where
 * answers go. Such a machine is known by the name of its mailbox.
 */

/** Who works on a machine: our agent, or OpenStack Murano's. */
export type MachineKind = 'agent' | 'muranoagent';

/** The mailbox of a machine in Murano's naming: the queue of plans that its `agent.conf` names as `input_queue`. */
export function muranoQueueName(environmentId: string, machineId: string): string {
  return `e${environmentId}-h${machineId}`.toLowerCase();
}

const muranoQueue = /^e[0-9a-f]{32}-h[0-9a-f]{32}$/;

/** True for the mailbox of a machine with a `muranoagent`: nothing but Murano plans may be put into it. */
export function isMuranoQueue(mailbox: string): boolean {
  return muranoQueue.test(mailbox);
}

export function machineKindOf(mailbox: string): MachineKind {
  return isMuranoQueue(mailbox) ? 'muranoagent' : 'agent';
}

/** Arguments of the queue as Murano's engine declares it: it would refuse to work with other ones. */
export const muranoQueueArguments: Readonly<Record<string, unknown>> = {
  'x-ha-policy': 'all',
  'x-expires': 86_400_000,
};

/** Where answers of real agents come in; reached from the exchange of all agents by `<machine id>.murano`. */
export const muranoAnswersMailbox = 'torcello.murano-answers';

/** `result_routing_key` of a machine; its `result_exchange` is the exchange of all agents. */
export function muranoAnswerKey(machineId: string): string {
  return `${machineId}.murano`;
}

/** Id of the n-th time that a plan is sent; the first has the plan's own. */
export function muranoPlanId(planId: string, nth: number): string {
  return nth <= 1 ? planId : `${planId}-${nth}`;
}

/** Which plan an answer's `SourceID` is about, and which time of it. Undefined for what is no id of ours. */
export function readMuranoPlanId(sourceId: unknown): { readonly planId: string; readonly nth: number } | undefined {
  if (typeof sourceId !== 'string') return undefined;
  const [, planId, nth] = /^([0-9a-f]{32})(?:-([1-9]\d{0,8}))?$/.exec(sourceId) ?? [];
  return planId === undefined ? undefined : { planId, nth: nth === undefined ? 1 : Number(nth) };
}

/** `Stamp` of a plan: a tenth of a millisecond since 1970 as Murano's engine counts, and above every earlier one. */
export function nextStamp(nowMs: number, after: number): number {
  return Math.max(Math.floor(nowMs) * 10, Math.floor(after) + 1);
}
