/**
 * Names that two programs must agree on. Whoever owns a queue declares it; a sender only knows where to publish.
 */

/** Hints "look at this deployment", API to conductors. Declared by both sides. */
export const tasksMailbox = 'torcello.tasks';

/** RPC of the conductors to the API: claim, renew, load, append, letter, release. */
export const deploymentsTopic: { readonly exchange: string; readonly topic: string; readonly version: string } = {
  exchange: 'torcello',
  topic: 'deployments',
  version: '1.0',
};

/** Fanout cast of the API: a deployment has news. Shortens the wait of its holder, never needed. */
export const doorbellTopic: { readonly exchange: string; readonly topic: string; readonly version: string } = {
  exchange: 'torcello',
  topic: 'torcello.doorbell',
  version: '1.0',
};

/** Notifications of the conductors: lines of progress for people. */
export const reportTopic = 'torcello.report';

/** The one exchange that agents write to, with the routing key `<machine id>.<kind>`. Declared by the API. */
export const agentsExchange = 'agents';

/** What an agent sends. Results and progress share a mailbox, output and heartbeats cannot drown them. */
export type AgentMessageKind = 'result' | 'progress' | 'output' | 'heartbeat';

export const resultsMailbox = 'torcello.results';
export const outputMailbox = 'torcello.output';
export const heartbeatsMailbox = 'torcello.heartbeats';

/** Where an agent publishes a message of this kind; its login may write nothing else. */
export function agentRoutingKey(machineId: string, kind: AgentMessageKind): string {
  return `${machineId}.${kind}`;
}

/** Begins the names of machines' mailboxes. */
export const machineMailboxPrefix = 'agent.mbox.';

/** Name of a machine's mailbox. The 32 hexadecimal digits are random, so that no name can be guessed from another. */
export function machineMailboxName(secretHex: string): string {
  return `${machineMailboxPrefix}${secretHex}`;
}

/** Header of every letter in a machine's mailbox; tells how to read the body. */
export const letterKindHeader = 'torcello-kind';
export type LetterKind = 'plan' | 'cancel' | 'receipt';

/**
 * Headers of an output message; its body is the bytes themselves. The last message of a step is empty: its offset is the
 * length of everything that the step wrote, more than was sent where it was cut, and `sha256` (hexadecimal; absent where
 * it is not known) is over all of it.
 */
export const outputHeaders: Readonly<
  Record<'deploymentId' | 'planId' | 'step' | 'offset' | 'last' | 'sha256', string>
> = {
  deploymentId: 'torcello-deployment',
  planId: 'torcello-plan',
  step: 'torcello-step',
  offset: 'torcello-offset',
  last: 'torcello-last',
  sha256: 'torcello-sha256',
};
