import type { MailboxEndRow } from '../database/mailbox-tables.js';
import type { Db } from '../database/store.js';
import type { MachineRow } from '../database/tables.js';
import type { Presence } from '../machines/presence.js';
import { isoTime } from '../times.js';
import { whyMailbox } from '../why/mailbox-why.js';
import type { Why } from '../why/why.js';
import { contactAtMs, expiresAtMs, lifetimeOf } from './contact.js';

/** A mailbox as people see it; instants are ISO texts. */
export interface MailboxView {
  readonly name: string;
  /**
   * `undeclared`: the broker does not have it yet. `open`. `closing`: its end has begun. `closed`. `reopening`: a fresh one
   * of this name follows.
   */
  readonly state: 'undeclared' | 'open' | 'closing' | 'closed' | 'reopening';
  readonly machine: { readonly id: string; readonly name: string };
  readonly environment: string;
  readonly lifetimeMs: number;
  /** Of its reader. Absent when there was none. */
  readonly lastContactAt?: string;
  /** When it ends unless its reader is heard of. */
  readonly expiresAt?: string;
  readonly closedAt?: string;
  /** Why it ended. */
  readonly reason?: 'lifetime' | 'deleted';
  /** Plans that are for it and were not taken yet. */
  readonly waiting: number;
  /** While it is not read. */
  readonly why?: Why;
}

export interface MailboxViewParts {
  readonly db: Db;
  readonly presence: Presence;
  readonly lifetimeMs: number;
}

export interface MailboxPage {
  /** Name or id of an environment. */
  readonly environment: string | undefined;
  /** Mailboxes behind this name. */
  readonly after: string;
  readonly limit: number;
}

/** Mailboxes in the order of their names: those of machines, and ended ones whose machines are gone. */
export async function listMailboxes(parts: MailboxViewParts, page: MailboxPage): Promise<readonly MailboxView[]> {
  const { db } = parts;
  const { environment, after, limit } = page;
  const machines = await db
    .selectFrom('machines')
    .innerJoin('environments', 'environments.id', 'machines.environment_id')
    .selectAll('machines')
    .select('environments.name as environment_name')
    .where('mailbox', '>', after)
    .$if(environment !== undefined, (query) =>
      query.where((column) =>
        column.or([
          column('environments.name', '=', environment ?? ''),
          column('environments.id', '=', environment ?? ''),
        ]),
      ),
    )
    .orderBy('mailbox')
    .limit(limit)
    .execute();
  const gone = await db
    .selectFrom('mailbox_ends')
    .selectAll()
    .where('mailbox', '>', after)
    .where('machine_id', 'not in', (inner) => inner.selectFrom('machines').select('id'))
    .$if(environment !== undefined, (query) =>
      query.where((column) =>
        column.or([
          column('environment_name', '=', environment ?? ''),
          column('environment_id', '=', environment ?? ''),
        ]),
      ),
    )
    .orderBy('mailbox')
    .limit(limit)
    .execute();
  const ends = await endsOf(db, machines);
  const waiting = await waitingOf(db);
  const views = [
    ...machines.map((machine) =>
      viewMailbox(parts, {
        machine,
        environment: machine.environment_name,
        end: ends.get(machine.mailbox),
        waiting: waiting.get(machine.id) ?? 0,
      }),
    ),
    ...gone.map(viewGone),
  ];
  return views.toSorted((a, b) => (a.name < b.name ? -1 : 1)).slice(0, limit);
}

export function viewMailbox(
  parts: Pick<MailboxViewParts, 'presence' | 'lifetimeMs'>,
  of: {
    readonly machine: MachineRow;
    readonly environment: string;
    readonly end: MailboxEndRow | undefined;
    readonly waiting: number;
  },
): MailboxView {
  const { machine, environment, end, waiting } = of;
  const state = stateOf(machine, end);
  const why = whyMailbox({ ...parts, machine, end });
  const isEnded = state === 'closing' || state === 'closed';
  return {
    name: machine.mailbox,
    state,
    machine: { id: machine.id, name: machine.name },
    environment,
    lifetimeMs: lifetimeOf(machine, parts.lifetimeMs),
    ...(machine.enrolment === 0 ? {} : { lastContactAt: isoTime(contactAtMs(machine)) }),
    ...(isEnded ? {} : { expiresAt: isoTime(expiresAtMs(machine, parts.lifetimeMs)) }),
    ...(isEnded && end !== undefined ? endOf(end) : {}),
    waiting,
    ...(why === undefined ? {} : { why }),
  };
}

/** One that has ended, of a machine that was taken away since. */
export function viewGone(end: MailboxEndRow): MailboxView {
  return {
    name: end.mailbox,
    state: end.state === 'closing' ? 'closing' : 'closed',
    machine: { id: end.machine_id, name: end.machine_name },
    environment: end.environment_name,
    lifetimeMs: end.lifetime_ms,
    ...(end.last_contact_at === null ? {} : { lastContactAt: isoTime(end.last_contact_at) }),
    ...endOf(end),
    waiting: 0,
  };
}

function endOf(end: MailboxEndRow): Pick<MailboxView, 'closedAt' | 'reason'> {
  return { ...(end.closed_at === null ? {} : { closedAt: isoTime(end.closed_at) }), reason: end.reason };
}

function stateOf(machine: MachineRow, end: MailboxEndRow | undefined): MailboxView['state'] {
  if (end !== undefined && end.state !== 'reopened') {
    if (machine.mailbox_closed_at === null) return 'reopening';
    return end.state === 'closing' ? 'closing' : 'closed';
  }
  return machine.is_mailbox_declared === 1 ? 'open' : 'undeclared';
}

async function endsOf(db: Db, machines: readonly MachineRow[]): Promise<ReadonlyMap<string, MailboxEndRow>> {
  const [first, last] = [machines[0], machines.at(-1)];
  if (first === undefined || last === undefined) return new Map();
  const ends = await db
    .selectFrom('mailbox_ends')
    .selectAll()
    .where('mailbox', '>=', first.mailbox)
    .where('mailbox', '<=', last.mailbox)
    .execute();
  return new Map(ends.map((end) => [end.mailbox, end]));
}

/** How many plans of each machine were not taken yet. */
async function waitingOf(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('plans')
    .select('machine_id')
    .select((column) => column.fn.countAll<number>().as('count'))
    .where('outcome', 'is', null)
    .where('delivered_at', 'is', null)
    .groupBy('machine_id')
    .execute();
  return new Map(rows.map((row) => [row.machine_id, Number(row.count)]));
}
