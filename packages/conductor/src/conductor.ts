import { type ClaimAnswer, deploymentsTopic, reportTopic } from '@torcello/contracts';
import { type Mailboxes, type Transport, mailboxes, notifier, rpcClient } from '@torcello/messaging';
import { type Clock, type Logger, type Random, type Service, hexId } from '@torcello/platform';
import { type Answered, DeploymentsClient } from './deployments-client.js';
import { announce } from './diagnostics.js';
import { doorbell } from './doorbell.js';
import { HintAttempts } from './hint-attempts.js';
import { Hints, type TakenWork } from './hints.js';
import { type Lease, LeaseEndedError } from './lease.js';
import { Leases } from './leases.js';
import { conductorLimits } from './limits.js';
import type { Download } from './packages/download.js';
import { PackageStore } from './packages/package-store.js';
import { Reporter } from './reporter.js';
import type { PlanSigner } from './sign.js';
import { DeploymentWork } from './work/deployment-work.js';
import { History } from './work/history.js';
import { carriedOutEvents } from './work/known-events.js';
import { Planner } from './work/planner.js';
import { Poster } from './work/poster.js';

export interface ConductorOptions {
  readonly transport: Transport;
  readonly signer: PlanSigner;
  readonly download: Download;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Names this process in leases. Random, made at its start. */
  readonly holder: string;
  /** Default 20. */
  readonly deploymentsMax?: number;
}

type Claimed = Extract<ClaimAnswer, { claimed: true }>;

/** How long a conductor that stops tries to give its leases back; whatever is left ends by itself. */
const handOverMs = 3_000;

/**
 * Takes hints, claims deployments and works on them. It owns decisions only: what it knows is in the history, and it may
 * be ended at any instant.
 */
export class Conductor implements Service {
  readonly #options: ConductorOptions;
  readonly #client: DeploymentsClient;
  readonly #mailboxes: Mailboxes;
  readonly #packages: PackageStore;
  readonly #reporter: Reporter;
  readonly #leases: Leases;
  readonly #hints: Hints;
  readonly #doorbell: Service;
  #started: Promise<void> = Promise.resolve();

  constructor(options: ConductorOptions) {
    this.#options = options;
    const { transport, clock, random, logger, holder, download } = options;
    const rpc = rpcClient(transport, deploymentsTopic);
    const reports = { publisherId: `conductor.${holder}`, topics: [reportTopic] };
    this.#client = new DeploymentsClient({ rpc, clock, random, logger });
    this.#mailboxes = mailboxes(transport, { clock, logger });
    this.#packages = new PackageStore(download, conductorLimits.packageCacheBytesMax.value);
    this.#reporter = new Reporter(notifier(transport, reports), clock, logger);
    this.#leases = new Leases({ client: this.#client, holder, clock, logger });
    this.#doorbell = doorbell(transport, holder, (deploymentId) => this.#leases.ring(deploymentId));
    this.#hints = new Hints({
      transport,
      logger,
      attempts: new HintAttempts({ client: this.#client, random, logger }),
      deploymentsMax: options.deploymentsMax ?? conductorLimits.deploymentsMax.value,
      take: (deploymentId, signal) => this.#take(deploymentId, signal),
    });
  }

  start(): Promise<void> {
    this.#started = this.#startParts();
    return this.#started;
  }

  /** Hands over at once: what is going on is aborted, and every lease is given back. */
  async stop(): Promise<void> {
    // What is still being started cannot be stopped, and would run on.
    await this.#started.catch(() => undefined);
    await Promise.all([this.#hints.stop(), this.#leases.stop()]);
    await this.#doorbell.stop();
    await this.#reporter.settled();
  }

  async #startParts(): Promise<void> {
    await this.#leases.start();
    await this.#doorbell.start();
    await this.#hints.start();
  }

  async #take(deploymentId: string, signal: AbortSignal): Promise<TakenWork | undefined> {
    const { holder, random } = this.#options;
    const request = { deploymentId, holder, nonce: hexId(random), knownEvents: carriedOutEvents };
    const claim = await this.#client.claim(request, signal);
    if (!claim.answer.claimed) return undefined;
    const sinceMs = await this.#sinceMs(deploymentId, claim, signal);
    if (sinceMs === undefined) return undefined;
    const { epoch, leaseMs } = claim.answer;
    const lease = this.#leases.add({ deploymentId, epoch, leaseMs, sinceMs });
    announce('claimed', deploymentId);
    return { done: this.#work(lease, claim.answer) };
  }

  /** Since when the lease lasts. After a lost answer nobody knows when the claim was heard: a renewal tells. */
  async #sinceMs(deploymentId: string, claim: Answered<ClaimAnswer>, signal: AbortSignal): Promise<number | undefined> {
    if (claim.earlierTries === 0 || !claim.answer.claimed) return claim.sentAtMs;
    const { epoch, leaseMs } = claim.answer;
    const request = { holder: this.#options.holder, leases: [{ deploymentId, epoch }] };
    const { answer, sentAtMs } = await this.#client.renew(request, leaseMs / 3, signal);
    return answer.leases.some((lease) => lease.deploymentId === deploymentId && lease.isHeld) ? sentAtMs : undefined;
  }

  /** Never rejects: whatever goes wrong, the history says where the next one goes on. */
  async #work(lease: Lease, claimed: Claimed): Promise<void> {
    const { logger } = this.#options;
    const { deploymentId, epoch } = lease;
    try {
      await this.#deploymentWork(lease, claimed).run();
    } catch (error) {
      if (!(error instanceof LeaseEndedError)) {
        // Not given back: the rest of the lease keeps a deployment that nobody can handle from going round in circles.
        logger.error('work on a deployment failed', { deploymentId, epoch, error });
      } else if (error.code === 'HANDED_OVER') {
        await this.#handOver(lease);
      } else {
        logger.warn('work on a deployment was dropped', { deploymentId, epoch, error });
      }
    } finally {
      this.#leases.remove(lease);
    }
  }

  #deploymentWork(lease: Lease, { model, epoch, length: claimedLength }: Claimed): DeploymentWork {
    const { clock, random, logger, signer } = this.#options;
    const client = this.#client;
    const { signal } = lease;
    return new DeploymentWork({
      lease,
      client,
      clock,
      random,
      reporter: this.#reporter,
      history: new History({ client, lease, random, claimedLength }),
      planner: new Planner({ model, epoch, packages: this.#packages, signer, clock, random, signal }),
      poster: (source) => new Poster({ mailboxes: this.#mailboxes, lease, clock, random, logger }, source),
    });
  }

  /** Whatever of the history was not seen is for the next holder. */
  async #handOver({ deploymentId, epoch }: Lease): Promise<void> {
    const { clock, logger } = this.#options;
    const abort = new AbortController();
    const timer = clock.after(handOverMs, () => abort.abort(new Error('no time left')));
    try {
      await this.#client.release({ deploymentId, epoch, length: Number.MAX_SAFE_INTEGER }, abort.signal);
      logger.info('handed over', { deploymentId, epoch });
    } catch (error) {
      logger.warn('a lease could not be given back, it ends by itself', { deploymentId, epoch, error });
    } finally {
      timer.cancel();
    }
  }
}
