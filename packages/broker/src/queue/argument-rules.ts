import { untyped } from '@torcello/amqp091';
import type { FieldTable, FieldValue } from '@torcello/amqp091';
import { AmqpError } from '../amqp-error.js';
import { isWholeNumber } from './queue-options.js';
import type { QueueType } from './queue-options.js';

/** Arguments that belong to other types of queues: RabbitMQ refuses them, where it takes those that nobody knows. */
const foreign: Readonly<Record<QueueType, readonly string[]>> = {
  classic: [
    'x-delivery-limit',
    'x-dead-letter-strategy',
    'x-max-in-memory-length',
    'x-max-in-memory-bytes',
    'x-quorum-initial-group-size',
    'x-max-age',
    'x-stream-max-segment-size-bytes',
    'x-stream-filter-size-bytes',
    'x-initial-cluster-size',
  ],
  quorum: [
    'x-max-priority',
    'x-queue-mode',
    'x-queue-version',
    'x-queue-master-locator',
    'x-max-age',
    'x-stream-max-segment-size-bytes',
    'x-stream-filter-size-bytes',
    'x-initial-cluster-size',
  ],
};

const isWhole = (value: FieldValue): boolean => isWholeNumber(value) && Number(untyped(value)) >= 0;
const isOneOf =
  (...values: readonly unknown[]) =>
  (value: FieldValue): boolean =>
    values.includes(untyped(value));

/** Arguments that are checked although one node has nothing to do for them. */
const checked: Readonly<Record<string, (value: FieldValue) => boolean>> = {
  'x-queue-version': (value) => isWholeNumber(value) && [1, 2].includes(Number(untyped(value))),
  'x-max-in-memory-length': isWhole,
  'x-max-in-memory-bytes': isWhole,
  'x-dead-letter-strategy': isOneOf('at-most-once', 'at-least-once'),
  'x-quorum-initial-group-size': (value) => isWhole(value) && Number(untyped(value)) > 0,
  'x-queue-leader-locator': isOneOf('client-local', 'balanced', 'random', 'least-leaders'),
};

/**
 * Checks the arguments of a queue that is to be made, besides what its options mean.
 * @throws PRECONDITION_FAILED for a value that makes no sense, and for an argument of another type of queue.
 */
export function checkArguments(args: FieldTable, type: QueueType): void {
  for (const [name, value] of Object.entries(args)) {
    if (foreign[type].includes(name)) {
      throw new AmqpError('PRECONDITION_FAILED', `invalid arg '${name}' for a queue of type ${type}`);
    }
    const isFine = Object.hasOwn(checked, name) ? checked[name] : undefined;
    if (isFine?.(value) === false) throw new AmqpError('PRECONDITION_FAILED', `invalid arg '${name}': its value`);
  }
}
