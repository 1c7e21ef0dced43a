import type {
  ClaimAnswer,
  ClaimRequest,
  DeploymentModel,
  ReleaseAnswer,
  ReleaseRequest,
  RenewAnswer,
  RenewRequest,
} from '@torcello/contracts';
import { decide, isMuranoQueue } from '@torcello/contracts';
import type { Context } from '../context.js';
import { writeHint } from '../database/outbox.js';
import type { Db, Work } from '../database/store.js';
import type { DeploymentRow } from '../database/tables.js';
import type { FoldedDeployments } from './folded.js';
import type { Presence } from '../machines/presence.js';
import { stampsOf } from '../murano-agents/sends.js';
import type { History } from './history.js';
import type { Leases } from './leases.js';
import { poisonReason, vanishWithinMs, vanishedMax } from './poison.js';
import { deploymentRow, loadModel } from './rows.js';

export interface ClaimsOptions {
  readonly context: Context;
  readonly leases: Leases;
  readonly folded: FoldedDeployments;
  readonly history: History;
  readonly presence: Presence;
  readonly hintExpiresMs: number;
  /** Base of the API's HTTP address, for files of packages. */
  readonly filesUrl: () => string;
  /** A token that is good for the packages of one deployment. */
  readonly filesToken: (deploymentId: string) => string;
}

/** Who works on which deployment: claim, renew, release. A claim makes a new epoch; only its holder may append. */
export class Claims {
  readonly #options: ClaimsOptions;
  /** When this process saw each lease's holder claim, and heard of it last. Its own monotonic clock. */
  readonly #seen = new Map<string, { readonly claimedAtMs: number; lastAtMs: number }>();

  /** When each conductor was last heard of, whatever it asked. A conductor that dies comes back under another name. */
  readonly #heardAtMs = new Map<string, number>();
  /** By deployment, what `vanished` counts beside an earlier API's count: holders in a row that were not heard of since. */
  readonly #vanished = new Map<string, { readonly before: number; readonly holders: readonly Vanished[] }>();

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** After a restart of the API every lease gets one fresh term: its holder may have renewed while we were away. */
  async restore(): Promise<void> {
    const { context, leases } = this.#options;
    const rows = await context.store.db
      .selectFrom('deployments')
      .select('id')
      .where('lease_holder', 'is not', null)
      .where('finished_at', 'is', null)
      .execute();
    for (const { id } of rows) leases.grant(id);
  }

  async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    const { context } = this.#options;
    this.#heardFrom(request.holder);
    return context.store.write(async (work) => {
      const row = await deploymentRow(work.db, request.deploymentId);
      if (row === undefined) return { claimed: false, why: 'unknownDeployment' } as const;
      if (row.finished_at !== null) return { claimed: false, why: 'finished' } as const;
      const isSame = row.lease_holder === request.holder && row.lease_nonce === request.nonce;
      if (this.#isHeld(row) && !isSame) return { claimed: false, why: 'held' } as const;
      if (!(await knowsEvents(work.db, request))) return { claimed: false, why: 'unknownEvents' } as const;
      if (!this.#isHeld(row) && (await this.#isPoison(work, row))) return { claimed: false, why: 'finished' } as const;
      const epoch = this.#isHeld(row) ? row.epoch : await this.#takeOver(work, row, request);
      work.afterCommit(() => this.#options.leases.grant(row.id));
      return this.#grantedAnswer(work.db, row, epoch);
    });
  }

  async renew(request: RenewRequest): Promise<RenewAnswer> {
    const { context, leases } = this.#options;
    this.#heardFrom(request.holder);
    const answers: RenewAnswer['leases'][number][] = [];
    for (const { deploymentId, epoch } of request.leases) {
      const row = await deploymentRow(context.store.db, deploymentId);
      const isHeld =
        row !== undefined && row.lease_holder === request.holder && row.epoch === epoch && row.finished_at === null;
      if (isHeld) {
        leases.grant(deploymentId);
        this.heard(deploymentId);
      }
      answers.push({ deploymentId, isHeld, length: row?.length ?? 0 });
    }
    return { leases: answers };
  }

  /** Gives a lease back. What has something to do goes to somebody else at once; what waits is parked. */
  async release(request: ReleaseRequest): Promise<ReleaseAnswer> {
    const { context, folded, leases, hintExpiresMs } = this.#options;
    return context.store.write(async (work) => {
      const row = await deploymentRow(work.db, request.deploymentId);
      if (row === undefined) return { released: true, length: 0 };
      if (row.epoch !== request.epoch) return { released: true, length: row.length };
      if (row.finished_at !== null) this.#forget(row.id);
      if (row.lease_holder === null) return { released: true, length: row.length };
      if (request.length < row.length) return { released: false, length: row.length };
      const { state } = await folded.at(work.db, row);
      const hasWork = decide(state).length > 0;
      const changes = { lease_holder: null, lease_nonce: null, is_parked: hasWork ? 0 : 1, vanished: 0 };
      this.#forget(row.id);
      await work.db.updateTable('deployments').set(changes).where('id', '=', row.id).execute();
      if (hasWork) await writeHint(context, work, { deploymentId: row.id, expiresMs: hintExpiresMs });
      work.afterCommit(() => {
        leases.end(row.id);
        folded.forget(row.id);
      });
      return { released: true, length: row.length };
    });
  }

  /** The holder of a lease gave a sign of life. */
  heard(deploymentId: string): void {
    const seen = this.#seen.get(deploymentId);
    if (seen !== undefined) seen.lastAtMs = this.#options.context.clock.monotonicMs();
  }

  #forget(deploymentId: string): void {
    this.#seen.delete(deploymentId);
    this.#vanished.delete(deploymentId);
  }

  #heardFrom(holder: string): void {
    // In the order in which they were heard, so that the oldest ones go.
    this.#heardAtMs.delete(holder);
    this.#heardAtMs.set(holder, this.#options.context.clock.monotonicMs());
    const [oldest] = this.#heardAtMs.keys();
    if (this.#heardAtMs.size > holdersMax && oldest !== undefined) this.#heardAtMs.delete(oldest);
  }

  /** It let its lease end and lives: it was slow, stopped, or cut off, and has not died of the deployment. */
  #livesOn({ holder, lastAtMs }: Vanished): boolean {
    const heardAtMs = this.#heardAtMs.get(holder);
    return heardAtMs !== undefined && heardAtMs >= lastAtMs + this.#options.leases.termMs;
  }

  /**
   * Counts a holder that vanished within seconds of its claim, and ends a deployment that did so to too many in a row.
   * One that gave its lease back counts nothing, nor one that is heard of later, nor what happened while the API or the
   * broker link was away.
   */
  async #isPoison(work: Work, row: DeploymentRow): Promise<boolean> {
    const { context, history, presence } = this.#options;
    const seen = this.#seen.get(row.id);
    this.#seen.delete(row.id);
    if (row.lease_holder === null || seen === undefined) return false;
    const sinceClaimMs = context.clock.monotonicMs() - seen.claimedAtMs;
    if (!presence.hasListenedSince(context.clock.now() - sinceClaimMs)) return false;
    const isQuick = seen.lastAtMs - seen.claimedAtMs <= vanishWithinMs;
    const vanished = isQuick ? this.#countVanished(row, { holder: row.lease_holder, lastAtMs: seen.lastAtMs }) : 0;
    if (vanished === 0 || vanished >= vanishedMax) this.#vanished.delete(row.id);
    await work.db.updateTable('deployments').set({ vanished }).where('id', '=', row.id).execute();
    if (vanished < vanishedMax) return false;
    await history.appendByApi(work, { ...row, vanished }, [
      { type: 'rejected', reason: poisonReason },
      { type: 'finished', result: 'failed' },
    ]);
    return true;
  }

  #countVanished(row: DeploymentRow, last: Vanished): number {
    // A resume, or a holder that gave it back, began anew.
    const known = row.vanished === 0 ? undefined : this.#vanished.get(row.id);
    const { before, holders } = known ?? { before: row.vanished, holders: [] };
    const silent = [...holders, last].filter((holder) => !this.#livesOn(holder));
    this.#vanished.set(row.id, { before, holders: silent });
    return before + silent.length;
  }

  #isHeld(row: DeploymentRow): boolean {
    return row.lease_holder !== null && this.#options.leases.isLive(row.id);
  }

  async #takeOver(work: Work, row: DeploymentRow, request: ClaimRequest): Promise<number> {
    const epoch = row.epoch + 1;
    const now = this.#options.context.clock.monotonicMs();
    this.#seen.set(row.id, { claimedAtMs: now, lastAtMs: now });
    await work.db
      .updateTable('deployments')
      .set({ epoch, lease_holder: request.holder, lease_nonce: request.nonce, is_parked: 0, state: 'running' })
      .where('id', '=', row.id)
      .execute();
    return epoch;
  }

  async #grantedAnswer(db: Db, row: DeploymentRow, epoch: number): Promise<ClaimAnswer> {
    const { leases } = this.#options;
    return { claimed: true, epoch, length: row.length, leaseMs: leases.termMs, model: await this.#model(db, row) };
  }

  /** The accepted model, with the enrolments as they are now: an agent may have joined meanwhile. */
  async #model(db: Db, row: DeploymentRow): Promise<DeploymentModel> {
    const { services, machines, startByMs, replaces } = await loadModel(db, row.id);
    const joined = await db
      .selectFrom('machines')
      .select(['id', 'enrolment'])
      .where('environment_id', '=', row.environment_id)
      .execute();
    const enrolments = new Map(joined.map((machine) => [machine.id, machine.enrolment]));
    const stamps = await stampsOf(
      db,
      machines.flatMap(({ id, mailbox }) => (isMuranoQueue(mailbox) ? [id] : [])),
    );
    return {
      deploymentId: row.id,
      action: row.action,
      environment: { id: row.environment_id, name: row.environment_name },
      services,
      machines: machines.map((machine) => ({
        ...machine,
        enrolment: Math.max(1, enrolments.get(machine.id) ?? machine.enrolment),
        ...(stamps.has(machine.id) ? { stampAfter: stamps.get(machine.id) ?? 0 } : {}),
      })),
      ...(startByMs === undefined ? {} : { startByMs }),
      ...(replaces === undefined ? {} : { replaces }),
      filesUrl: this.#options.filesUrl(),
      filesToken: this.#options.filesToken(row.id),
    };
  }
}

interface Vanished {
  readonly holder: string;
  /** Its last sign of life, monotonic. */
  readonly lastAtMs: number;
}

/** Conductors that are remembered. */
const holdersMax = 1_000;

async function knowsEvents(db: Db, request: ClaimRequest): Promise<boolean> {
  const types = await db
    .selectFrom('history')
    .select('type')
    .distinct()
    .where('deployment_id', '=', request.deploymentId)
    .execute();
  return types.every(({ type }) => request.knownEvents.includes(type));
}
