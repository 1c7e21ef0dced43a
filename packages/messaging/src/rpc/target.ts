import type { Destination, Topology } from '../driver.js';
import { MessagingError } from '../errors.js';
import { limits } from '../limits.js';

/** Where a call or notification goes, in oslo.messaging's words. */
export interface Target {
  /** Scope of the topic. Default `openstack`. */
  readonly exchange?: string;
  readonly topic?: string;
  /** One server of the topic; without it any one of them. */
  readonly server?: string;
  /** Group of methods. Default: none. */
  readonly namespace?: string;
  /** Version of the methods that the client asks for, or that an endpoint offers: `major.minor`. */
  readonly version?: string;
  /** Every server of the topic. */
  readonly fanout?: boolean;
}

export const defaultExchange = 'openstack';

/** Where a request for this target is published (oslo 1.2). @throws INVALID_TARGET without a topic. */
export function requestDestination(target: Target): Destination {
  const topic = topicOf(target);
  if (target.fanout === true) return { exchange: `${topic}_fanout`, routingKey: '' };
  const routingKey = target.server === undefined ? topic : `${topic}.${target.server}`;
  return { exchange: target.exchange ?? defaultExchange, routingKey };
}

/** The three queues of one server: shared by the topic, its own, and its copy of the fanout (oslo 1.2). */
export function serverTopologies(target: Target, fanoutId: string): readonly [Topology, Topology, Topology] {
  const topic = topicOf(target);
  if (target.server === undefined) throw new MessagingError('INVALID_TARGET', 'a server needs a name beside its topic');
  const shared = (queue: string): Topology => ({
    kind: 'shared',
    source: { queue },
    reachedBy: [{ exchange: target.exchange ?? defaultExchange, routingKey: queue }],
    options: {},
  });
  const fanout: Topology = {
    kind: 'fanout',
    source: { queue: `${topic}_fanout_${fanoutId}` },
    reachedBy: [{ exchange: `${topic}_fanout`, routingKey: topic }],
    options: { expiresMs: limits.transientQueueMs },
  };
  return [shared(topic), shared(`${topic}.${target.server}`), fanout];
}

function topicOf(target: Target): string {
  if (target.topic === undefined || target.topic === '')
    throw new MessagingError('INVALID_TARGET', 'a target needs a topic');
  return target.topic;
}
