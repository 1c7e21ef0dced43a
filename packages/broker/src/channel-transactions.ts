import type { MethodName } from '@torcello/amqp091';
import { AmqpError } from './amqp-error.js';
import type { Channel } from './channel.js';
import { handToQueues } from './publishing.js';
import { Transaction } from './transaction.js';
import { settleAll } from './unsettled.js';
import type { Settlement } from './unsettled.js';

/** `tx.select`. @throws PRECONDITION_FAILED on a channel that confirms. */
export function selectTransactions(channel: Channel): void {
  if (channel.confirms !== undefined) {
    throw new AmqpError('PRECONDITION_FAILED', 'cannot switch from confirm to tx mode');
  }
  channel.transaction ??= new Transaction(channel.connection.core.limits.transactionBytesMax);
  channel.send({ name: 'tx.select-ok' });
}

/**
 * `tx.commit`: everything happens in one turn and so in one commit of the log; the answer comes when that is durable. A
 * publish that a full queue refuses does not end the transaction, as on RabbitMQ.
 */
export function commitTransaction(channel: Channel): void {
  const { publishes, settlements } = transactionOf(channel).take();
  for (const publish of publishes) {
    const { isUnrouted, message } = handToQueues(channel.connection, publish, undefined);
    if (isUnrouted && publish.isMandatory) channel.returnMessage(message);
  }
  channel.settling(() => {
    for (const { deliveries, how } of settlements) settleAll(deliveries, how);
  });
  channel.sendDurably({ name: 'tx.commit-ok' });
}

/** `tx.rollback`: publishes are forgotten, deliveries are unsettled again. */
export function rollBackTransaction(channel: Channel): void {
  transactionOf(channel);
  forgetTransaction(channel);
  channel.send({ name: 'tx.rollback-ok' });
}

/** What is held is undone, for a rollback and for a channel that ends. */
export function forgetTransaction(channel: Channel): void {
  const settlements = channel.transaction?.take().settlements ?? [];
  if (settlements.length > 0) channel.unsettled.restore(settlements.flatMap(({ deliveries }) => deliveries));
}

/** A settlement now, or with the transaction. @throws PRECONDITION_FAILED for an unknown tag. */
export function settle(
  channel: Channel,
  method: { readonly deliveryTag: number; readonly multiple?: boolean },
  how: Settlement,
): void {
  const { unsettled, transaction } = channel;
  const { deliveryTag, multiple = false } = method;
  if (transaction === undefined) {
    const count = channel.settling(() => unsettled.settle(deliveryTag, multiple, how));
    if (how === 'ack') channel.connection.core.counters.acked += count;
    return;
  }
  transaction.holdSettlement(unsettled.take(deliveryTag, multiple), how);
}

function transactionOf(channel: Channel): Transaction {
  if (channel.transaction !== undefined) return channel.transaction;
  throw new AmqpError('PRECONDITION_FAILED', 'channel is not transactional');
}

/** The handlers of class tx (AMQP 0-9-1 §1.9). */
export const transactionHandlers: { readonly [N in MethodName]?: (channel: Channel) => void } = {
  'tx.select': selectTransactions,
  'tx.commit': commitTransaction,
  'tx.rollback': rollBackTransaction,
};
