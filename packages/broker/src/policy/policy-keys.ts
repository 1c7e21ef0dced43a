import type { FieldTable, FieldValue } from '@torcello/amqp091';
import { untyped } from '@torcello/amqp091';
import { AmqpError } from '../amqp-error.js';
import { queueOptions } from '../queue/queue-options.js';
import type { QueueType } from '../queue/queue-options.js';
import type { PolicyKind } from './policy.js';
import type { PolicyRefused } from './policy-refused.js';

/** What a policy asks for: RabbitMQ's keys, which are arguments of a queue without their `x-`. */
export type PolicyDefinition = Readonly<Record<string, string | number>>;

interface PolicyKey {
  /** Queues that know it; a policy with a key that a queue does not know does not apply to it, as on RabbitMQ. */
  readonly for: readonly (QueueType | 'exchange')[];
  /** Where argument, policy and operator policy disagree: the smaller number, or who stands closer to the queue. */
  readonly merge: 'smaller' | 'closest';
  /** An operator may set it. */
  readonly isForOperators?: true;
}

const both = ['classic', 'quorum'] as const;

/** Every key that a policy may have. Those of one node that has no replicas mean nothing, and are kept. */
const policyKeys: Readonly<Record<string, PolicyKey>> = {
  'message-ttl': { for: both, merge: 'smaller', isForOperators: true },
  expires: { for: both, merge: 'smaller', isForOperators: true },
  'max-length': { for: both, merge: 'smaller', isForOperators: true },
  'max-length-bytes': { for: both, merge: 'smaller', isForOperators: true },
  'delivery-limit': { for: ['quorum'], merge: 'smaller', isForOperators: true },
  'consumer-timeout': { for: both, merge: 'smaller' },
  overflow: { for: both, merge: 'closest' },
  'dead-letter-exchange': { for: both, merge: 'closest' },
  'dead-letter-routing-key': { for: both, merge: 'closest' },
  'dead-letter-strategy': { for: ['quorum'], merge: 'closest' },
  'queue-mode': { for: ['classic'], merge: 'closest' },
  'queue-version': { for: ['classic'], merge: 'closest' },
  'max-in-memory-length': { for: ['quorum'], merge: 'smaller', isForOperators: true },
  'max-in-memory-bytes': { for: ['quorum'], merge: 'smaller', isForOperators: true },
  'queue-leader-locator': { for: both, merge: 'closest' },
  'alternate-exchange': { for: ['exchange'], merge: 'closest' },
};

/** Checks each key and its value. @throws what `refuse` makes. */
export function checkPolicyKeys(kind: PolicyKind, definition: object, refuse: (why: string) => PolicyRefused): void {
  const entries = Object.entries(definition) as [string, FieldValue][];
  if (entries.length === 0) throw refuse('the definition is empty');
  for (const [name, value] of entries) {
    const key = Object.hasOwn(policyKeys, name) ? policyKeys[name] : undefined;
    if (key === undefined) throw refuse(`this broker does not know ${name}; take it out of the definition`);
    if (kind === 'operator_policy' && key.isForOperators !== true) throw refuse(`operators may not set ${name}`);
    const why = wrongValue(name, value, key);
    if (why !== undefined) throw refuse(why);
  }
}

/** The value must be one that a queue takes as its argument. */
function wrongValue(name: string, value: FieldValue, { merge, for: types }: PolicyKey): string | undefined {
  if (merge === 'smaller' && !(Number.isSafeInteger(value) && Number(value) >= -1))
    return `${name} is not a whole number`;
  if (merge === 'closest' && name !== 'queue-version' && typeof value !== 'string') return `${name} is not a string`;
  const type = types.includes('classic') ? 'classic' : 'quorum';
  const deadLetter = name === 'dead-letter-routing-key' ? { 'x-dead-letter-exchange': '' } : {};
  try {
    queueOptions({ 'x-queue-type': type, ...deadLetter, [`x-${name}`]: value });
    return undefined;
  } catch (error) {
    if (error instanceof AmqpError) return error.message;
    throw error;
  }
}

/** Whether everything that a policy asks for makes sense for such a thing. */
export function isApplicable(definition: PolicyDefinition, type: QueueType | 'exchange'): boolean {
  if (type === 'exchange') return true;
  return Object.keys(definition).every((name) => name === 'alternate-exchange' || keyNamed(name).for.includes(type));
}

/** A policy and the operator's as one: the smaller number counts, of words the operator's. */
export function mergedDefinition(
  policy: PolicyDefinition | undefined,
  operator: PolicyDefinition | undefined,
): PolicyDefinition {
  const merged: Record<string, string | number> = { ...policy, ...operator };
  for (const [name, value] of Object.entries(policy ?? {})) {
    const other = merged[name];
    if (typeof value === 'number' && typeof other === 'number') merged[name] = smaller(value, other);
  }
  return merged;
}

/** Arguments of a declaration with what policies add: the smaller number counts, of words the declaration's. */
export function effectiveArguments(declared: FieldTable, definition: PolicyDefinition): FieldTable {
  const table: Record<string, FieldValue> = { ...declared };
  for (const [name, value] of Object.entries(definition)) {
    const argument = `x-${name}`;
    const own = untyped(table[argument]);
    if (own === undefined) table[argument] = value;
    else if (typeof value === 'number' && (typeof own === 'number' || typeof own === 'bigint')) {
      table[argument] = smaller(Number(own), value);
    }
  }
  if (table['x-dead-letter-exchange'] === undefined) delete table['x-dead-letter-routing-key'];
  return table;
}

/** -1 stands for no limit. */
function smaller(one: number, other: number): number {
  return one < 0 || other < 0 ? Math.max(one, other) : Math.min(one, other);
}

function keyNamed(name: string): PolicyKey {
  return policyKeys[name] ?? { for: [], merge: 'closest' };
}
