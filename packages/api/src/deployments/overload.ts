import type { Db } from '../database/store.js';
import { Refusal } from '../errors.js';
import { apiLimits } from '../limits.js';

/**
 * Back-pressure on new work: where what was accepted before piles up, more is refused, to be asked again (503 with
 * `Retry-After`). A broker or a conductor that is away is no reason by itself: what is accepted waits. Cancels pass always.
 * @throws Refusal overloaded.
 */
export async function refuseOverload(db: Db): Promise<void> {
  const { letters } = await db
    .selectFrom('outbox')
    .select((column) => column.fn.countAll<number>().as('letters'))
    .executeTakeFirstOrThrow();
  if (Number(letters) >= apiLimits.outboxRowsMax.value)
    throw new Refusal('overloaded', `${letters} letters wait for the broker (outboxRowsMax)`, {
      cure: 'see whether the broker is up: GET /healthz',
    });
  const { deployments } = await db
    .selectFrom('deployments')
    .select((column) => column.fn.countAll<number>().as('deployments'))
    .where('finished_at', 'is', null)
    .where('is_parked', '=', 0)
    .where('epoch', '=', 0)
    .executeTakeFirstOrThrow();
  if (Number(deployments) >= apiLimits.deploymentsUnclaimedMax.value)
    throw new Refusal('overloaded', `${deployments} deployments wait for a conductor (deploymentsUnclaimedMax)`, {
      cure: 'start conductors: torcello conductor',
    });
}
