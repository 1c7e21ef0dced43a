import type { RenewAnswer } from '@torcello/contracts';
import { type Clock, type Logger, type Service, type Timer, Background } from '@torcello/platform';
import type { DeploymentsClient } from './deployments-client.js';
import { Lease, LeaseEndedError, type LeaseTerms } from './lease.js';

export interface LeasesOptions {
  readonly client: DeploymentsClient;
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Share of a lease after which a renewal that failed is tried again. */
const retryFraction = 1 / 15;

/** All leases of this conductor, kept alive by one request for all of them. Its answer brings news. */
export class Leases implements Service {
  readonly #options: LeasesOptions;
  readonly #held = new Map<string, Lease>();
  readonly #background: Background;
  #stopped = new AbortController();
  #timer: Timer | undefined;
  #isRenewing = false;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#background = new Background((what, error) => options.logger.error('renewing failed', { what, error }));
  }

  async start(): Promise<void> {
    this.#stopped = new AbortController();
    this.#schedule();
  }

  /** Ends every lease at once; whoever works under one is aborted. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#stopped.abort(new LeaseEndedError('HANDED_OVER', 'the conductor stops'));
    for (const lease of this.#held.values()) lease.end('HANDED_OVER', 'the conductor stops');
    await this.#background.settled();
  }

  add(terms: LeaseTerms): Lease {
    const lease = new Lease(terms, this.#options.clock);
    this.#held.set(terms.deploymentId, lease);
    if (this.#stopped.signal.aborted) lease.end('HANDED_OVER', 'the conductor stops');
    this.#schedule();
    return lease;
  }

  /** No longer renewed. */
  remove(lease: Lease): void {
    lease.close();
    if (this.#held.get(lease.deploymentId) === lease) this.#held.delete(lease.deploymentId);
    this.#schedule();
  }

  isHeld(deploymentId: string): boolean {
    return this.#held.has(deploymentId);
  }

  /** The doorbell rang for this deployment. */
  ring(deploymentId: string): void {
    this.#held.get(deploymentId)?.news.ring();
  }

  /** Those that are over wait for their work to let go of them. */
  #live(): readonly Lease[] {
    return [...this.#held.values()].filter((lease) => !lease.signal.aborted);
  }

  #schedule(earliestMs: number = 0): void {
    this.#timer?.cancel();
    const live = this.#live();
    if (this.#isRenewing || live.length === 0 || this.#stopped.signal.aborted) return;
    const dueMs = Math.min(...live.map((lease) => lease.renewAtMs));
    const inMs = dueMs - this.#options.clock.monotonicMs();
    this.#timer = this.#options.clock.after(Math.max(inMs, earliestMs), () => {
      this.#background.run('renew', () => this.#renew());
    });
  }

  async #renew(): Promise<void> {
    const leases = this.#live();
    if (leases.length === 0) return;
    const shortestMs = Math.min(...leases.map((lease) => lease.leaseMs));
    this.#isRenewing = true;
    let waitMs = 0;
    try {
      const request = {
        holder: this.#options.holder,
        leases: leases.map(({ deploymentId, epoch }) => ({ deploymentId, epoch })),
      };
      const { answer, sentAtMs } = await this.#options.client.renew(request, shortestMs / 3, this.#stopped.signal);
      const answers = new Map(answer.leases.map((item) => [item.deploymentId, item]));
      for (const lease of leases) settle(lease, answers.get(lease.deploymentId), sentAtMs);
    } catch (error) {
      waitMs = shortestMs * retryFraction;
      if (!this.#stopped.signal.aborted) this.#options.logger.warn('leases could not be renewed', { error });
    } finally {
      this.#isRenewing = false;
      this.#schedule(waitMs);
    }
  }
}

function settle(lease: Lease, item: RenewAnswer['leases'][number] | undefined, sentAtMs: number): void {
  if (item === undefined || !item.isHeld) return lease.end('LEASE_LOST', 'somebody else has the deployment now');
  lease.renewed(sentAtMs);
  if (item.length > lease.seenLength) lease.news.ring();
}
