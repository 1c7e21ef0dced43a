import type { Destination, TargetAddress, Topology } from '../driver.js';
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
  const exchange = target.exchange ?? defaultExchange;
  const common = { service: 'rpc', exchange, topic } as const;
  if (target.fanout === true) {
    return { exchange: `${topic}_fanout`, routingKey: '', target: { ...common, fanout: true } };
  }
  if (target.server === undefined) return { exchange, routingKey: topic, target: common };
  return { exchange, routingKey: `${topic}.${target.server}`, target: { ...common, server: target.server } };
}

/** The three queues of one server: shared by the topic, its own, and its copy of the fanout (oslo 1.2). */
export function serverTopologies(target: Target, fanoutId: string): readonly [Topology, Topology, Topology] {
  const topic = topicOf(target);
  if (target.server === undefined) throw new MessagingError('INVALID_TARGET', 'a server needs a name beside its topic');
  const exchange = target.exchange ?? defaultExchange;
  const shared = (queue: string, address: TargetAddress): Topology => ({
    kind: 'shared',
    source: { queue, target: address },
    reachedBy: [{ exchange, routingKey: queue, target: address }],
    options: {},
  });
  const common = { service: 'rpc', exchange, topic } as const;
  const everybody: TargetAddress = { ...common, fanout: true };
  const fanout: Topology = {
    kind: 'fanout',
    source: { queue: `${topic}_fanout_${fanoutId}`, target: everybody },
    reachedBy: [{ exchange: `${topic}_fanout`, routingKey: topic, target: everybody }],
    options: { expiresMs: limits.transientQueueMs },
  };
  const own = { ...common, server: target.server };
  return [shared(topic, common), shared(`${topic}.${target.server}`, own), fanout];
}

function topicOf(target: Target): string {
  if (target.topic === undefined || target.topic === '')
    throw new MessagingError('INVALID_TARGET', 'a target needs a topic');
  return target.topic;
}
