/** How something that stands differs from what was asked for. */
export interface Mismatch {
  readonly argument: string;
  /** `queue` or `exchange`. */
  readonly entity: string;
  readonly wanted: string;
  readonly found: string;
  /** The option of the URL that decides about it, if one does. */
  readonly option: string | undefined;
}

const options: Readonly<Record<string, string>> = {
  durable: 'amqp_durable_queues',
  auto_delete: 'amqp_auto_delete',
  'x-queue-type': 'queue_type (or rabbit_quorum_queue)',
  'x-expires': 'rabbit_transient_queues_ttl',
  'x-delivery-limit': 'rabbit_quorum_delivery_limit',
  'x-max-in-memory-length': 'rabbit_quorum_max_memory_length',
  'x-max-in-memory-bytes': 'rabbit_quorum_max_memory_bytes',
};

/**
 * What RabbitMQ's refusal of a declaration says about both sides. The text is all that the protocol has for it, so this is
 * help for people: nothing is decided by it.
 */
export function mismatchOf(replyText: string): Mismatch | undefined {
  const shape = /inequivalent arg '([^']+)' for (queue|exchange) .*: received (.+) but current is (.+)$/;
  const [, argument, entity, wanted, found] = shape.exec(replyText) ?? [];
  if (argument === undefined || entity === undefined || wanted === undefined || found === undefined) return undefined;
  return { argument, entity, wanted: valueOf(wanted), found: valueOf(found), option: options[argument] };
}

/** `none`, `'true'`, `the value '1000' of type 'signedint'`. */
function valueOf(said: string): string {
  return /'([^']*)'/.exec(said)?.[1] ?? said.trim();
}
