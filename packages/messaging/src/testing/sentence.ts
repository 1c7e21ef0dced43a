import type { Capabilities, Destination, DriverConnection, OutgoingMessage, Topology } from '../driver.js';
import { bytes } from './expect.js';
import type { Harness } from './harness.js';

/** What a sentence may need of a transport beyond the seam: a capability, or a way to cut its connections. */
export type Need = keyof Capabilities | 'cut';

/** One sentence that must be true of every transport. */
export interface Sentence {
  readonly says: string;
  /** Without all of these it is skipped, and the skip is printed. Nothing else excuses. */
  readonly needs?: readonly Need[];
  readonly holds: (harness: Harness) => Promise<void>;
}

/** A durable message that has to find a queue. */
export function message(body: string | Uint8Array, changes: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const content = typeof body === 'string' ? bytes(body) : body;
  return { body: content, properties: {}, headers: {}, persistent: true, ifNobody: 'fail', ...changes };
}

/** Where a queue is reached by its name. */
export function byName(topology: Topology): Destination {
  return { exchange: '', routingKey: topology.source.queue };
}

/** A connection and a mailbox that holds these letters. */
export async function withLetters(
  harness: Harness,
  bodies: readonly string[],
  options: Topology['options'] = {},
): Promise<{ readonly connection: DriverConnection; readonly mailbox: Topology }> {
  const connection = await harness.open();
  const mailbox = harness.mailbox(options);
  await connection.ensure(mailbox);
  for (const body of bodies) await connection.publish(byName(mailbox), message(body));
  return { connection, mailbox };
}
