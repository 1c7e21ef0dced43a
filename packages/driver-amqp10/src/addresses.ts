import { MessagingError, type Destination, type Source, type TargetAddress, type Topology } from '@torcello/messaging';
import type { Profile } from './profiles/profile.js';

/** oslo.messaging's two ways to name a node (oslo (b)). */
export type AddressingMode = 'legacy' | 'routable';

/** Maps what the library calls places to the nodes of one broker. */
export class Addresses {
  readonly #profile: Profile;
  readonly #mode: AddressingMode;
  /** Undefined: addresses do not name one. */
  readonly #vhost: string | undefined;

  constructor(profile: Profile, mode: AddressingMode, vhost: string | undefined) {
    this.#profile = profile;
    this.#mode = mode;
    this.#vhost = vhost;
  }

  /** Where a message is sent to. */
  destination({ exchange, routingKey, target }: Destination): string {
    const { addresses } = this.#profile;
    if (target !== undefined) return addresses.target(this.#osloName(target), target);
    return exchange === '' ? addresses.queue(routingKey) : addresses.exchange(exchange, routingKey);
  }

  /** Where a queue is read. */
  source({ queue, target }: Source): string {
    const { addresses } = this.#profile;
    return target === undefined ? addresses.queue(queue) : addresses.target(this.#osloName(target), target);
  }

  /** Where a link makes the queue; undefined where there is nothing to make. */
  declaring({ queue, target }: Source): string | undefined {
    const { declaring } = this.#profile.addresses;
    if (declaring === undefined || target?.fanout === true) return undefined;
    return declaring(target === undefined ? queue : this.#osloName(target));
  }

  replies(name: string): string {
    return this.#profile.addresses.replies(name);
  }

  nodeCapabilities(isCopied: boolean): readonly string[] {
    return this.#profile.addresses.nodeCapabilities?.(isCopied) ?? [];
  }

  #osloName(target: TargetAddress): string {
    return this.#mode === 'legacy' ? legacyName(target, this.#vhost) : routableName(target, this.#vhost);
  }
}

function legacyName({ exchange, topic, server, fanout }: TargetAddress, vhost: string | undefined): string {
  const scope = [...(vhost === undefined ? [] : [vhost]), exchange, topic];
  if (fanout === true) return ['broadcast', ...scope, 'all'].join('.');
  return (server === undefined ? ['unicast', ...scope] : ['exclusive', ...scope, server]).join('.');
}

function routableName({ service, exchange, topic, server, fanout }: TargetAddress, vhost: string | undefined): string {
  const scope = [...(vhost === undefined ? [] : [vhost]), exchange, topic];
  const how = fanout === true ? 'multicast' : server === undefined ? 'anycast' : 'unicast';
  return ['openstack.org/om', service, how, ...scope, ...(how === 'unicast' ? [server] : [])].join('/');
}

const unboundable = ['lengthMax', 'whenFull', 'messageTtlMs', 'priorityMax', 'deadLetter', 'singleReader'] as const;

/**
 * Refuses what the transport cannot honour: nothing is silently ignored.
 * @throws MessagingError CAPABILITY_MISSING
 */
export function checkTopology(topology: Topology, { capabilities, name }: Profile): void {
  const { kind, source, options, reachedBy } = topology;
  const refuse = (option: string, needs: string): never => {
    const text = `a transport of the profile "${name}" cannot honour ${option} of queue "${source.queue}"`;
    throw new MessagingError('CAPABILITY_MISSING', text, { details: { option, needs, profile: name } });
  };
  const bound = unboundable.find((option) => options[option] !== undefined && options[option] !== false);
  if (!capabilities.bounds && bound !== undefined) refuse(bound, 'bounds');
  // A fanout queue lives as long as its reader's link, which is no longer than asked for.
  if (!capabilities.bounds && kind !== 'fanout' && options.expiresMs !== undefined) refuse('expiresMs', 'bounds');
  if (options.foreignArguments !== undefined) refuse('foreignArguments', 'AMQP 0-9-1');
  const elsewhere = reachedBy.some((to) => !leadsTo(to, source));
  if (!capabilities.routes && elsewhere) refuse('reachedBy', 'routes');
}

function leadsTo(to: Destination, source: Source): boolean {
  if (to.target === undefined)
    return source.target === undefined && to.exchange === '' && to.routingKey === source.queue;
  const same = (name: keyof TargetAddress): boolean => to.target?.[name] === source.target?.[name];
  return source.target !== undefined && (['service', 'exchange', 'topic', 'server', 'fanout'] as const).every(same);
}
