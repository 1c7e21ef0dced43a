import { formatJoinLine, limits, machineMailboxName, muranoQueueName } from '@torcello/contracts';
import type { MachineKind } from '@torcello/contracts';
import { hexId } from '@torcello/platform';
import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import type { Db, Work } from '../database/store.js';
import type { EnvironmentRow, MachineRow } from '../database/tables.js';
import { endPlansOfMachine, replacedReason } from '../deployments/abandon.js';
import type { EndedPlan } from '../deployments/abandon.js';
import type { History } from '../deployments/history.js';
import { removeMailbox } from '../environments/remove.js';
import { Refusal } from '../errors.js';
import { reopenMailbox } from '../mailboxes/reopen.js';
import { digestOf } from '../secrets.js';

const rolePattern = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const rowsPerInsert = 500;

export interface MachineOrder {
  readonly role: string;
  /** Default: 1, or the number of names. */
  readonly count?: number;
  /** Default: `<role>-<n>`, counting from the first free number. */
  readonly names?: readonly string[];
  /** Whose agent works on them. Default: ours. */
  readonly kind?: MachineKind;
  /** How long their mailboxes live without contact. Default: as the setting says. */
  readonly lifetimeMs?: number;
}

/** A machine just made, with the line that lets an agent take its place. */
export interface NewMachine {
  readonly row: MachineRow;
  readonly joinLine: string;
}

/** Named places for agents. Each has one mailbox, which the reconciler declares once the row stands. */
export class Machines {
  readonly #context: Context;
  readonly #history: History;
  readonly #publicUrl: () => string;

  constructor(parts: { readonly context: Context; readonly history: History; readonly publicUrl: () => string }) {
    this.#context = parts.context;
    this.#history = parts.history;
    this.#publicUrl = parts.publicUrl;
  }

  /** @throws Refusal invalid_request, name_taken, too_large. */
  async add(environment: EnvironmentRow, order: MachineOrder): Promise<readonly NewMachine[]> {
    checkOrder(order);
    return this.#context.store.write(async (work) => {
      const there = await work.db
        .selectFrom('machines')
        .select(['name', 'role', 'place'])
        .where('environment_id', '=', environment.id)
        .execute();
      const names = order.names ?? freeNames(order, new Set(there.map((machine) => machine.name)));
      const taken = there.find((machine) => names.includes(machine.name));
      if (taken !== undefined) throw new Refusal('name_taken', `${environment.name} has a machine ${taken.name}`);
      const first =
        Math.max(-1, ...there.filter((machine) => machine.role === order.role).map((machine) => machine.place)) + 1;
      const made = names.map((name, at) =>
        this.#make(environment, { name, role: order.role, place: first + at }, order),
      );
      for (let from = 0; from < made.length; from += rowsPerInsert) {
        await work.db
          .insertInto('machines')
          .values(made.slice(from, from + rowsPerInsert).map(({ row }) => row))
          .execute();
      }
      const detail = { role: order.role, count: made.length };
      await writeAudit(this.#context, work, {
        actor: 'admin',
        action: 'machines.added',
        target: environment.id,
        detail,
      });
      work.afterCommit(() => this.#context.notices.tell({ type: 'mailboxes' }));
      return made;
    });
  }

  async list(environmentId: string): Promise<readonly MachineRow[]> {
    return this.#context.store.db
      .selectFrom('machines')
      .selectAll()
      .where('environment_id', '=', environmentId)
      .orderBy('role')
      .orderBy('place')
      .execute();
  }

  /** @throws Refusal not_found. */
  async find(id: string): Promise<MachineRow> {
    return findMachine(this.#context.store.db, id);
  }

  /** Takes a machine away; what was open on it ends, and is the answer. @throws Refusal not_found. */
  async delete(id: string, graceMs: number): Promise<readonly EndedPlan[]> {
    return this.#context.store.write(async (work) => {
      const row = await findMachine(work.db, id);
      const ended = await endPlansOfMachine(work, this.#history, {
        machineId: id,
        outcome: 'cancelled',
        reason: `the machine ${row.name} was deleted`,
      });
      await work.db.deleteFrom('machines').where('id', '=', id).execute();
      await removeMailbox(this.#context, work, { machineId: id, mailbox: row.mailbox, graceMs });
      await writeAudit(this.#context, work, {
        actor: 'admin',
        action: 'machine.deleted',
        target: id,
        detail: { name: row.name, endedPlans: ended.length },
      });
      return ended;
    });
  }

  /**
   * A new token; the old one is void. The agent that joined before keeps its place until another one joins; with
   * `replaces` it is given up at once: what was open for it ends, unknown, and is the answer.
   * @throws Refusal not_found.
   */
  async renewToken(
    id: string,
    replaces: boolean = false,
  ): Promise<{ readonly joinLine: string; readonly endedPlans: readonly EndedPlan[] }> {
    return this.#context.store.write(async (work) => {
      const machine = await findMachine(work.db, id);
      const endedPlans =
        replaces && machine.enrolment > 0
          ? await endPlansOfMachine(work, this.#history, { machineId: id, outcome: 'replaced', reason: replacedReason })
          : [];
      if (machine.mailbox_closed_at !== null) await reopenMailbox(this.#context, work, machine);
      const token = this.#newToken();
      const changes = { token_digest: digestOf(token), token_used_by: null, is_token_contested: 0 };
      await work.db.updateTable('machines').set(changes).where('id', '=', id).execute();
      const detail = { replaces, endedPlans: endedPlans.length };
      await writeAudit(this.#context, work, { actor: 'admin', action: 'machine.tokenRenewed', target: id, detail });
      return { joinLine: this.#joinLine(id, token), endedPlans };
    });
  }

  #make(
    environment: EnvironmentRow,
    place: { readonly name: string; readonly role: string; readonly place: number },
    { kind = 'agent', lifetimeMs }: Pick<MachineOrder, 'kind' | 'lifetimeMs'>,
  ): NewMachine {
    const token = this.#newToken();
    const id = hexId(this.#context.random);
    const row: MachineRow = {
      id,
      environment_id: environment.id,
      ...place,
      mailbox:
        kind === 'muranoagent'
          ? muranoQueueName(environment.id, id)
          : machineMailboxName(Buffer.from(this.#context.random.bytes(16)).toString('hex')),
      is_mailbox_declared: 0,
      created_at: this.#context.clock.now(),
      enrolment: 0,
      token_digest: digestOf(token),
      token_used_by: null,
      is_token_contested: 0,
      public_key: null,
      hostname: null,
      agent_version: null,
      joined_at: null,
      last_heartbeat_at: null,
      running_plan: null,
      notices: null,
      lifetime_ms: lifetimeMs ?? null,
      mailbox_closed_at: null,
      contact_at: this.#context.clock.now(),
    };
    return { row, joinLine: this.#joinLine(id, token) };
  }

  #newToken(): string {
    return Buffer.from(this.#context.random.bytes(32)).toString('base64url');
  }

  #joinLine(machine: string, token: string): string {
    return formatJoinLine({ api: this.#publicUrl(), machine, token });
  }
}

export async function findMachine(db: Work['db'] | Db, id: string): Promise<MachineRow> {
  const row = await db.selectFrom('machines').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined)
    throw new Refusal('not_found', `no machine ${id}`, { cure: 'torcello machine list ENVIRONMENT' });
  return row;
}

function checkOrder(order: MachineOrder): void {
  const count = order.names?.length ?? order.count ?? 1;
  if (!rolePattern.test(order.role))
    throw new Refusal(
      'invalid_request',
      `the role ${JSON.stringify(order.role)} has to be lower-case letters, digits and "-"`,
    );
  if (!Number.isInteger(count) || count < 1)
    throw new Refusal('invalid_request', 'count has to be a whole number from 1');
  if (order.names !== undefined && order.count !== undefined && order.count !== order.names.length) {
    throw new Refusal('invalid_request', `${order.names.length} names for ${order.count} machines`);
  }
  if (count > limits.machinesPerRequestMax.value) {
    throw new Refusal(
      'too_large',
      `${count} machines at once; at most ${limits.machinesPerRequestMax.value} are allowed`,
    );
  }
  const wrong = order.names?.find((name, at, names) => !namePattern.test(name) || names.indexOf(name) !== at);
  if (wrong !== undefined)
    throw new Refusal('invalid_request', `the machine name ${JSON.stringify(wrong)} is not allowed or there twice`);
}

function freeNames(order: MachineOrder, taken: ReadonlySet<string>): readonly string[] {
  const names: string[] = [];
  for (let n = 1; names.length < (order.count ?? 1); n++) {
    const name = `${order.role}-${n}`;
    if (!taken.has(name)) names.push(name);
  }
  return names;
}
