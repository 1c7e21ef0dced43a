import { createPublicKey } from 'node:crypto';
import type { JoinAnswer, JoinRequest } from '@torcello/contracts';
import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import type { Db, Work } from '../database/store.js';
import type { MachineRow } from '../database/tables.js';
import { endPlansOfMachine, replacedReason } from '../deployments/abandon.js';
import type { History } from '../deployments/history.js';
import { Refusal } from '../errors.js';
import { digestOf } from '../secrets.js';
import type { AgentAccounts } from './accounts.js';

export interface JoinsOptions {
  readonly context: Context;
  readonly history: History;
  readonly accounts: AgentAccounts;
  /** SPKI of the plan signing key, PEM; undefined until a conductor made it. */
  readonly planKey: () => string | undefined;
  readonly heartbeatMs: number;
}

/** Agents that trade their one-time token for a login of their own. */
export class Joins {
  readonly #options: JoinsOptions;

  constructor(options: JoinsOptions) {
    this.#options = options;
  }

  /** @throws Refusal login_refused where agents can have no login. */
  check(): void {
    this.#options.accounts.check();
  }

  /**
   * The same key with the same token gets the same answer, as often as it asks.
   * @throws Refusal token_unknown, token_used, invalid_request, login_refused, not_ready.
   */
  async join(request: JoinRequest): Promise<JoinAnswer> {
    const { context, accounts, planKey, heartbeatMs } = this.#options;
    const key = readKey(request.publicKey);
    // Before the token is spent: a refusal for these reasons must leave it usable.
    accounts.check();
    const plansKey = planKey();
    if (plansKey === undefined)
      throw new Refusal('not_ready', 'the plan signing key is not there yet', {
        cure: 'start a conductor, and try again',
      });
    const verdict = await context.store.write((work) => this.#enrol(work, request, key));
    if (verdict instanceof Refusal) throw verdict;
    const transportUrl = await accounts.create({
      machineId: verdict.id,
      enrolment: verdict.enrolment,
      mailbox: verdict.mailbox,
    });
    return {
      machineId: verdict.id,
      machineName: verdict.name,
      enrolment: verdict.enrolment,
      mailbox: verdict.mailbox,
      transportUrl,
      planKey: plansKey,
      heartbeatMs,
    };
  }

  /** A refusal is an answer here, not a throw: the flag that somebody else used the token has to stay. */
  async #enrol(work: Work, request: JoinRequest, key: string): Promise<MachineRow | Refusal> {
    const { context } = this.#options;
    const row = await findByToken(work.db, request);
    if (row === undefined) {
      return new Refusal('token_unknown', 'the join line is not valid', {
        cure: 'torcello machine join-line MACHINE makes a new one',
      });
    }
    if (row.token_used_by === key) return this.#heard(work, row);
    if (row.mailbox_closed_at !== null) {
      return new Refusal('token_unknown', `the join line ended with the mailbox of ${row.name}`, {
        cure: `torcello machine join-line ${row.id} makes a new one, with a fresh mailbox`,
      });
    }
    if (row.token_used_by !== null) {
      await work.db.updateTable('machines').set({ is_token_contested: 1 }).where('id', '=', row.id).execute();
      const detail = { hostname: request.hostname, first: row.hostname };
      await writeAudit(context, work, {
        actor: `agent:${row.id}`,
        action: 'machine.tokenContested',
        target: row.id,
        detail,
      });
      return new Refusal('token_used', `another agent has joined as ${row.name} with this line`, {
        cure: `if that was not you, the line was stolen; torcello machine join-line ${row.id} makes a new one and voids this one`,
      });
    }
    return this.#take(work, row, { request, key });
  }

  /** To ask again is a sign of life too: where its mailbox has ended meanwhile there will be a fresh one. */
  async #heard(work: Work, row: MachineRow): Promise<MachineRow> {
    const contact_at = this.#options.context.clock.now();
    await work.db.updateTable('machines').set({ contact_at }).where('id', '=', row.id).execute();
    return { ...row, contact_at };
  }

  async #take(
    work: Work,
    row: MachineRow,
    taker: { readonly request: JoinRequest; readonly key: string },
  ): Promise<MachineRow> {
    const { context, history } = this.#options;
    const { request, key } = taker;
    if (row.enrolment > 0) {
      await endPlansOfMachine(work, history, {
        machineId: row.id,
        outcome: 'replaced',
        reason: replacedReason,
      });
    }
    const changes = {
      enrolment: row.enrolment + 1,
      token_used_by: key,
      public_key: key,
      hostname: request.hostname,
      agent_version: request.agentVersion,
      joined_at: context.clock.now(),
      last_heartbeat_at: null,
      running_plan: null,
      notices: null,
    };
    await work.db.updateTable('machines').set(changes).where('id', '=', row.id).execute();
    const detail = { hostname: request.hostname, enrolment: changes.enrolment };
    await writeAudit(context, work, { actor: `agent:${row.id}`, action: 'machine.joined', target: row.id, detail });
    return { ...row, ...changes };
  }
}

async function findByToken(db: Db, request: JoinRequest): Promise<MachineRow | undefined> {
  return db
    .selectFrom('machines')
    .selectAll()
    .where('id', '=', request.machine)
    .where('token_digest', '=', digestOf(request.token))
    .executeTakeFirst();
}

/** The key in one form, so that the same key is the same text. */
function readKey(pem: string): string {
  try {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key.export({ type: 'spki', format: 'pem' }).toString();
  } catch {
    // Answered below, together with keys of another kind.
  }
  throw new Refusal('invalid_request', 'publicKey has to be an Ed25519 key, SPKI in PEM');
}
