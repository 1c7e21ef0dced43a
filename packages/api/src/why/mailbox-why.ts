import type { MailboxEndRow } from '../database/mailbox-tables.js';
import type { MachineRow } from '../database/tables.js';
import type { Presence } from '../machines/presence.js';
import { expiresAtMs } from '../mailboxes/contact.js';
import { durationText } from '../times.js';
import { why } from './why.js';
import type { Why } from './why.js';

export interface MailboxFacts {
  readonly machine: MachineRow;
  /** Its last end, if it ever had one. */
  readonly end: Pick<MailboxEndRow, 'state' | 'reason' | 'began_at' | 'closed_at' | 'lifetime_ms'> | undefined;
  readonly presence: Presence;
  readonly lifetimeMs: number;
}

/** What a mailbox waits for; undefined while its agent reads it. */
export function whyMailbox({ machine, end, presence, lifetimeMs }: MailboxFacts): Why | undefined {
  const names = { machine: machine.name, machineId: machine.id, mailbox: machine.mailbox };
  const ended = end === undefined || end.state === 'reopened' ? undefined : whyEnded(machine, end, names);
  if (ended !== undefined) return ended;
  const untilMs = expiresAtMs(machine, lifetimeMs);
  if (machine.is_mailbox_declared === 0)
    return why('mailbox-not-declared', { sinceMs: machine.contact_at ?? machine.created_at, untilMs, names });
  if (machine.joined_at === null) return why('join-token-unused', { sinceMs: machine.created_at, untilMs, names });
  const lastMs = Math.max(machine.last_heartbeat_at ?? 0, machine.joined_at);
  const { state, evidence } = presence.judge({
    joinedAtMs: machine.joined_at,
    lastHeartbeatAtMs: machine.last_heartbeat_at,
  });
  if (state === 'online') return undefined;
  return why(state === 'lost' ? 'lost' : 'waiting-machine-offline', { sinceMs: lastMs, untilMs, evidence, names });
}

function whyEnded(
  machine: MachineRow,
  end: NonNullable<MailboxFacts['end']>,
  names: Readonly<Record<string, string>>,
): Why {
  if (end.state === 'closing') return why('mailbox-closing', { sinceMs: end.began_at, names });
  const sinceMs = end.closed_at ?? end.began_at;
  if (machine.mailbox_closed_at === null) return why('mailbox-reopening', { sinceMs, names });
  const reason = end.reason === 'deleted' ? 'it was deleted' : `it was not read for ${durationText(end.lifetime_ms)}`;
  return why('mailbox-ended', { sinceMs, names: { ...names, reason } });
}
