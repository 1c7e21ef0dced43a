import { isMuranoQueue } from '@torcello/contracts';
import type { MachineRow } from '../database/tables.js';

/** What tells when the reader of a mailbox was heard of. */
export type ContactFacts = Pick<
  MachineRow,
  'created_at' | 'contact_at' | 'joined_at' | 'last_heartbeat_at' | 'lifetime_ms'
>;

/** The last sign of the mailbox's reader; before there was one, when the mailbox was opened. */
export function contactAtMs(machine: Omit<ContactFacts, 'lifetime_ms'>): number {
  return Math.max(machine.contact_at ?? machine.created_at, machine.joined_at ?? 0, machine.last_heartbeat_at ?? 0);
}

/**
 * Nobody can have read it: no agent ever joined, and without a login of its own nobody reads a mailbox of ours. The queue of
 * a real muranoagent is read by whoever has its configuration, so of it only a look tells.
 */
export function wasNeverRead(machine: Pick<MachineRow, 'enrolment' | 'mailbox'>): boolean {
  return machine.enrolment === 0 && !isMuranoQueue(machine.mailbox);
}

export function lifetimeOf(machine: Pick<ContactFacts, 'lifetime_ms'>, lifetimeMsDefault: number): number {
  return machine.lifetime_ms ?? lifetimeMsDefault;
}

/** When the mailbox ends unless its reader is heard of. */
export function expiresAtMs(machine: ContactFacts, lifetimeMsDefault: number): number {
  return contactAtMs(machine) + lifetimeOf(machine, lifetimeMsDefault);
}
