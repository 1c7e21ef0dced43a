import type {
  ClaimAnswer,
  ClaimRequest,
  DeploymentModel,
  ReleaseAnswer,
  ReleaseRequest,
  RenewAnswer,
  RenewRequest,
} from '@torcello/contracts';
import { decide } from '@torcello/contracts';
import type { Context } from '../context.js';
import { writeHint } from '../database/outbox.js';
import type { Db, Work } from '../database/store.js';
import type { DeploymentRow } from '../database/tables.js';
import type { FoldedDeployments } from './folded.js';
import type { Leases } from './leases.js';
import { deploymentRow, loadModel } from './rows.js';

export interface ClaimsOptions {
  readonly context: Context;
  readonly leases: Leases;
  readonly folded: FoldedDeployments;
  readonly hintExpiresMs: number;
  /** Base of the API's HTTP address, for files of packages. */
  readonly filesUrl: () => string;
  /** A token that is good for the packages of one deployment. */
  readonly filesToken: (deploymentId: string) => string;
}

/** Who works on which deployment: claim, renew, release. A claim makes a new epoch; only its holder may append. */
export class Claims {
  readonly #options: ClaimsOptions;

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
    return context.store.write(async (work) => {
      const row = await deploymentRow(work.db, request.deploymentId);
      if (row === undefined) return { claimed: false, why: 'unknownDeployment' } as const;
      if (row.finished_at !== null) return { claimed: false, why: 'finished' } as const;
      const isSame = row.lease_holder === request.holder && row.lease_nonce === request.nonce;
      if (this.#isHeld(row) && !isSame) return { claimed: false, why: 'held' } as const;
      if (!(await knowsEvents(work.db, request))) return { claimed: false, why: 'unknownEvents' } as const;
      const epoch = this.#isHeld(row) ? row.epoch : await this.#takeOver(work, row, request);
      work.afterCommit(() => this.#options.leases.grant(row.id));
      return this.#grantedAnswer(work.db, row, epoch);
    });
  }

  async renew(request: RenewRequest): Promise<RenewAnswer> {
    const { context, leases } = this.#options;
    const answers: RenewAnswer['leases'][number][] = [];
    for (const { deploymentId, epoch } of request.leases) {
      const row = await deploymentRow(context.store.db, deploymentId);
      const isHeld =
        row !== undefined && row.lease_holder === request.holder && row.epoch === epoch && row.finished_at === null;
      if (isHeld) leases.grant(deploymentId);
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
      if (row.epoch !== request.epoch || row.lease_holder === null) return { released: true, length: row.length };
      if (request.length < row.length) return { released: false, length: row.length };
      const { state } = await folded.at(work.db, row);
      const hasWork = decide(state).length > 0;
      const changes = { lease_holder: null, lease_nonce: null, is_parked: hasWork ? 0 : 1 };
      await work.db.updateTable('deployments').set(changes).where('id', '=', row.id).execute();
      if (hasWork) await writeHint(context, work, { deploymentId: row.id, expiresMs: hintExpiresMs });
      work.afterCommit(() => {
        leases.end(row.id);
        folded.forget(row.id);
      });
      return { released: true, length: row.length };
    });
  }

  #isHeld(row: DeploymentRow): boolean {
    return row.lease_holder !== null && this.#options.leases.isLive(row.id);
  }

  async #takeOver(work: Work, row: DeploymentRow, request: ClaimRequest): Promise<number> {
    const epoch = row.epoch + 1;
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
    const { services, machines } = await loadModel(db, row.id);
    const joined = await db
      .selectFrom('machines')
      .select(['id', 'enrolment'])
      .where('environment_id', '=', row.environment_id)
      .execute();
    const enrolments = new Map(joined.map((machine) => [machine.id, machine.enrolment]));
    return {
      deploymentId: row.id,
      action: row.action,
      environment: { id: row.environment_id, name: row.environment_name },
      services,
      machines: machines.map((machine) => ({
        ...machine,
        enrolment: Math.max(1, enrolments.get(machine.id) ?? machine.enrolment),
      })),
      filesUrl: this.#options.filesUrl(),
      filesToken: this.#options.filesToken(row.id),
    };
  }
}

async function knowsEvents(db: Db, request: ClaimRequest): Promise<boolean> {
  const types = await db
    .selectFrom('history')
    .select('type')
    .distinct()
    .where('deployment_id', '=', request.deploymentId)
    .execute();
  return types.every(({ type }) => request.knownEvents.includes(type));
}
