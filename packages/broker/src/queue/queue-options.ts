import { Typed, untyped } from '@torcello/amqp091';
import type { FieldTable, FieldTag, FieldValue } from '@torcello/amqp091';
import { AmqpError } from '../amqp-error.js';

export type QueueType = 'classic' | 'quorum';
export type Overflow = 'drop-head' | 'reject-publish' | 'reject-publish-dlx';

/** What the arguments of a declaration ask for, checked. */
export interface QueueOptions {
  readonly type: QueueType;
  /** Time to live of a message, in milliseconds. */
  readonly messageTtlMs: number | undefined;
  /** Time without use after which the queue ends, in milliseconds. */
  readonly expiresMs: number | undefined;
  readonly lengthMax: number | undefined;
  readonly lengthBytesMax: number | undefined;
  readonly overflow: Overflow;
  readonly deadLetterExchange: string | undefined;
  readonly deadLetterRoutingKey: string | undefined;
  /** Highest priority; 0 for a queue without priorities. */
  readonly priorityMax: number;
  readonly isSingleActiveConsumer: boolean;
  /** Time that a delivery may wait for its settlement, in milliseconds; undefined for the broker's own. */
  readonly consumerTimeoutMs: number | undefined;
  /** Returns after which a message is dead-lettered; undefined for no limit. */
  readonly deliveryLimit: number | undefined;
}

/** A quorum queue's limit when the declaration names none: that of RabbitMQ since 4.0. */
const quorumDeliveryLimit = 20;
/** Longest time to live and longest life of an unused queue, in milliseconds: ten years, as on RabbitMQ. */
export const durationMsMax = 315_360_000_000;

/** Reads the arguments of `queue.declare`. Unknown ones are kept and compared, and mean nothing, as on RabbitMQ. */
export function queueOptions(args: FieldTable): QueueOptions {
  const type = queueType(args);
  const deadLetterExchange = text(args, 'x-dead-letter-exchange');
  const deadLetterRoutingKey = text(args, 'x-dead-letter-routing-key');
  if (deadLetterRoutingKey !== undefined && deadLetterExchange === undefined) {
    throw invalid('x-dead-letter-routing-key', 'it needs x-dead-letter-exchange');
  }
  queueMode(args);
  return {
    type,
    messageTtlMs: whole(args, 'x-message-ttl', { least: 0, most: durationMsMax }),
    expiresMs: whole(args, 'x-expires', { least: 1, most: durationMsMax }),
    lengthMax: whole(args, 'x-max-length', { least: 0 }),
    lengthBytesMax: whole(args, 'x-max-length-bytes', { least: 0 }),
    overflow: overflow(args),
    deadLetterExchange,
    deadLetterRoutingKey,
    priorityMax: whole(args, 'x-max-priority', { least: 0, most: 255 }) ?? 0,
    isSingleActiveConsumer: flag(args, 'x-single-active-consumer'),
    consumerTimeoutMs: whole(args, 'x-consumer-timeout', { least: 1, most: durationMsMax }),
    deliveryLimit: deliveryLimit(args, type),
  };
}

function queueType(args: FieldTable): QueueType {
  const type = text(args, 'x-queue-type') ?? 'classic';
  if (type === 'classic' || type === 'quorum') return type;
  if (type === 'stream') throw new AmqpError('NOT_IMPLEMENTED', 'this broker has no streams (x-queue-type stream)');
  throw invalid('x-queue-type', `'${type}' is neither classic nor quorum`);
}

/** How lazily a classic queue keeps its messages: means nothing any more, and is still checked. */
function queueMode(args: FieldTable): void {
  const mode = text(args, 'x-queue-mode') ?? 'default';
  if (mode !== 'default' && mode !== 'lazy') throw invalid('x-queue-mode', `'${mode}' is neither default nor lazy`);
}

function overflow(args: FieldTable): Overflow {
  const value = text(args, 'x-overflow') ?? 'drop-head';
  if (value === 'drop-head' || value === 'reject-publish' || value === 'reject-publish-dlx') return value;
  throw invalid('x-overflow', `'${value}' is not known`);
}

function deliveryLimit(args: FieldTable, type: QueueType): number | undefined {
  if (type === 'classic') return undefined;
  const limit = whole(args, 'x-delivery-limit', { least: -1 }) ?? quorumDeliveryLimit;
  return limit < 0 ? undefined : limit;
}

function text(args: FieldTable, name: string): string | undefined {
  const value = untyped(args[name]);
  if (value === undefined) return undefined;
  if (typeof value === 'string') return value;
  throw invalid(name, 'it is not a string');
}

function flag(args: FieldTable, name: string): boolean {
  const value = untyped(args[name]);
  if (value === undefined) return false;
  if (typeof value === 'boolean') return value;
  throw invalid(name, 'it is not a boolean');
}

function whole(
  args: FieldTable,
  name: string,
  range: { readonly least: number; readonly most?: number },
): number | undefined {
  const value = args[name];
  if (value === undefined) return undefined;
  if (!isWholeNumber(value)) throw invalid(name, 'it is not a whole number');
  const number = Number(untyped(value));
  const { least, most = Number.MAX_SAFE_INTEGER } = range;
  if (Number.isSafeInteger(number) && number >= least && number <= most) return number;
  throw invalid(name, `${number} is not a whole number from ${least} to ${most}`);
}

const wholeTags: readonly FieldTag[] = ['b', 'B', 's', 'u', 'I', 'i', 'l', 'L'];

/** Whether a value came as an integer. RabbitMQ takes no float for one, also where it is a whole number. */
export function isWholeNumber(value: FieldValue): boolean {
  if (value instanceof Typed) return wholeTags.includes(value.tag);
  return typeof value === 'bigint' || Number.isInteger(value);
}

function invalid(name: string, why: string): AmqpError {
  return new AmqpError('PRECONDITION_FAILED', `invalid arg '${name}': ${why}`);
}
