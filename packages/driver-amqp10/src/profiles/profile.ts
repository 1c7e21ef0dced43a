import type { Capabilities, TargetAddress } from '@torcello/messaging';

export type ProfileName = 'proton' | 'qpid' | 'dispatch' | 'rabbitmq3' | 'rabbitmq4' | 'artemis' | 'service-bus';

/** What one kind of AMQP 1.0 broker is like: data, no behaviour of the driver. */
export interface Profile {
  readonly name: ProfileName;
  /** Live tests run against it. What is not tested says so in its documentation. */
  readonly isTested: boolean;
  /** Peers whose Open property `product` starts so. */
  readonly products: readonly string[];
  readonly capabilities: Capabilities;
  readonly addresses: AddressRules;
  /** The peer answers a drain, so that a fetch knows at once that nothing is there. */
  readonly drains: boolean;
  /**
   * How a delivery is given back: `released` leaves its count alone, `modified` counts it, so that the next reader sees
   * that it is not the first.
   */
  readonly releaseAs: 'released' | 'modified';
  /** The peer says `first-acquirer: false` of what it delivers again; others count. */
  readonly marksFirstAcquirer: boolean;
  /** Where answers come in: a node of our own name, or one that the peer makes and names. */
  readonly replies: 'named' | 'dynamic';
  /** How the peer is told the virtual host: a prefix within addresses (oslo's way), or a name in Open. */
  readonly vhost: { readonly in: 'address' } | { readonly in: 'hostname'; readonly prefix: string };
  /** How queues are made: by the first link, by attaching to an address that declares, or not over this protocol. */
  readonly makes: 'by-itself' | 'by-attaching' | 'elsewhere';
}

/** Names of nodes as the broker wants them. Plain names are queues of ours, target names come from oslo's rules. */
export interface AddressRules {
  /** Readers and senders of a queue that exists. */
  readonly queue: (name: string) => string;
  /** A link to it makes the queue. Undefined where every link does. */
  readonly declaring?: (name: string) => string;
  /** A destination that is no queue. */
  readonly exchange: (exchange: string, routingKey: string) => string;
  /** The node of a target, given the name that oslo's rules make of it. */
  readonly target: (osloName: string, target: TargetAddress) => string;
  /** Where answers come in, for `replies: 'named'`. */
  readonly replies: (name: string) => string;
  /** Terminus capabilities to ask for, as some brokers want them. */
  readonly nodeCapabilities?: (isCopied: boolean) => readonly string[];
}
