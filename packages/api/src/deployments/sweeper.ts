import type { Context } from '../context.js';
import { writeHint } from '../database/outbox.js';
import { apiLimits } from '../limits.js';
import { Rounds } from '../rounds.js';
import type { Leases } from './leases.js';

export interface SweeperOptions {
  readonly context: Context;
  readonly leases: Leases;
  readonly sweepMs: number;
}

/**
 * Hints again for every deployment that has something to do and nobody who does it: never claimed, or its holder is
 * gone. One hint in flight each: a hint lives as long as a sweep, and until then there is no other.
 */
export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #rounds: Rounds;
  /** Until when a hint may still lie in the tasks mailbox. */
  readonly #hintedUntilMs = new Map<string, number>();

  constructor(options: SweeperOptions) {
    this.#options = options;
    const { context, sweepMs } = options;
    this.#rounds = new Rounds({
      clock: context.clock,
      intervalMs: sweepMs,
      round: async () => {
        await this.sweep();
        return 'later';
      },
      onFailure: (error) => context.logger.error('a sweep failed, the next one tries again', { error }),
    });
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** A hint has reached the broker. */
  hinted(deploymentId: string): void {
    const { context, sweepMs } = this.#options;
    this.#hintedUntilMs.set(deploymentId, context.clock.monotonicMs() + sweepMs);
  }

  /** One sweep; answers the deployments that were hinted. */
  async sweep(): Promise<readonly string[]> {
    const { context, leases, sweepMs } = this.#options;
    this.#forgetOld();
    return context.store.write(async (work) => {
      const rows = await work.db
        .selectFrom('deployments')
        .select('id')
        .where('finished_at', 'is', null)
        .where('is_parked', '=', 0)
        .where('id', 'not in', (inner) => inner.selectFrom('outbox').select('subject'))
        .orderBy('accepted_at')
        .execute();
      const idle = rows.map((row) => row.id).filter((id) => !leases.isLive(id) && !this.#hintedUntilMs.has(id));
      const hinted = idle.slice(0, apiLimits.hintsPerSweepMax.value);
      for (const deploymentId of hinted) await writeHint(context, work, { deploymentId, expiresMs: sweepMs });
      return hinted;
    });
  }

  #forgetOld(): void {
    const now = this.#options.context.clock.monotonicMs();
    for (const [id, untilMs] of this.#hintedUntilMs) if (untilMs <= now) this.#hintedUntilMs.delete(id);
  }
}
