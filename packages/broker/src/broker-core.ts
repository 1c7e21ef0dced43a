import type { Clock, Logger, Random } from '@torcello/platform';
import type { Users } from './access/users.js';
import type { Counters } from './counters.js';
import type { DirectReplies } from './direct-replies.js';
import type { Flusher } from './flusher.js';
import type { BrokerLimits } from './limits.js';
import type { SharedBodies } from './queue/shared-bodies.js';
import type { CommitLog } from './store/commit-log.js';
import type { Turns } from './turns.js';
import type { Vhost } from './vhost.js';

/** Deprecated features of RabbitMQ that an operator may permit; named as there. */
export type Permit = 'transient_nonexcl_queues' | 'global_qos';
export const permits: readonly Permit[] = ['transient_nonexcl_queues', 'global_qos'];

/** What connections and channels need of the broker that they belong to. */
export interface BrokerCore {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: BrokerLimits;
  readonly log: CommitLog;
  readonly bodies: SharedBodies;
  readonly users: Users;
  readonly vhosts: ReadonlyMap<string, Vhost>;
  readonly permits: ReadonlySet<Permit>;
  /** Whether clients are told the name and the version of RabbitMQ. */
  readonly asRabbitMq: boolean;
  readonly flusher: Flusher;
  readonly turns: Turns;
  readonly counters: Counters;
  readonly directReplies: DirectReplies;
  /** Why publishes wait now; undefined when they are not. */
  readonly blockedReason: string | undefined;
}
