import { channel } from 'node:diagnostics_channel';

/** The places in an agent's work at which something has just become true; `torcello:agent` publishes them. */
export type AgentPoint =
  | 'journalled'
  | 'accepted'
  | 'stepStarting'
  | 'stepStarted'
  | 'rebooting'
  | 'treeAsked'
  | 'treeKilled'
  | 'stepEnded'
  | 'finished'
  | 'resultPublished'
  | 'outputPublished';

export interface AgentPointMessage {
  readonly point: AgentPoint;
  readonly planId?: string;
  readonly step?: string;
  /** Of `journalled`: the type of the record. */
  readonly record?: string;
}

const points = channel('torcello:agent');

/** Tells whoever watches the process. Costs nothing when nobody does. */
export function announce(point: AgentPoint, facts: Omit<AgentPointMessage, 'point'>): void {
  if (points.hasSubscribers) points.publish({ point, ...facts } satisfies AgentPointMessage);
}
