import type { Capabilities, Destination } from '../driver.js';
import { matchesTopic } from '../memory/topic-pattern.js';

/** What the keeper of mailboxes and everybody who uses them must agree on, where the transport itself has none. */
export interface HandshakeAddress {
  /** Scope of the topics, as in a `Target`. */
  readonly exchange: string;
  /** The keeper serves it. Readers are called at `<topic>.readers`, each under a name of its own. */
  readonly topic: string;
  /** Whether a queue of this name is a mailbox that the keeper keeps. */
  readonly isMailbox: (queue: string) => boolean;
  /**
   * Queues that the keeper's own program reads. What is sent to them is not stored: its sender hears when the reader has
   * settled it. Each is served by itself, at `<topic>.<queue>`, so that one cannot hold up the others.
   */
  readonly upward: readonly UpwardQueue[];
}

export interface UpwardQueue {
  readonly queue: string;
  readonly exchange: string;
  /** Patterns of routing keys (words separated by dots, `*` one word, `#` any number). */
  readonly routingKeys: readonly string[];
}

const needed = ['mailboxes', 'administers', 'returns', 'routes'] as const;

/**
 * What mailboxes for machines that may not be there yet need and this transport lacks. Empty: its broker keeps them.
 * Otherwise they are kept by a program of ours, and their readers say that they run (`PostOffice`, `postalTransport`).
 */
export function missingForMailboxes(capabilities: Capabilities): readonly (keyof Capabilities)[] {
  return needed.filter((name) => !capabilities[name]);
}

/** The topic at which a destination is served; undefined: it is the transport's own business. */
export function servedAt(address: HandshakeAddress, to: Destination): string | undefined {
  if (to.exchange === '') return address.isMailbox(to.routingKey) ? address.topic : undefined;
  const upward = upwardOf(address, to);
  return upward === undefined ? undefined : topicOf(address, upward.queue);
}

export function upwardOf({ upward }: HandshakeAddress, to: Destination): UpwardQueue | undefined {
  return upward.find(
    ({ exchange, routingKeys }) =>
      exchange === to.exchange && routingKeys.some((pattern) => matchesTopic(pattern, to.routingKey)),
  );
}

export function topicOf({ topic }: HandshakeAddress, queue: string): string {
  return `${topic}.${queue}`;
}

export function readersTopic({ topic }: HandshakeAddress): string {
  return `${topic}.readers`;
}
