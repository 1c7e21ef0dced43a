import { defaultLimits } from './limits.js';
import type { BrokerLimits } from './limits.js';

const MiB = 1024 * 1024;
const none = 1_000_000_000;

/**
 * Where RabbitMQ allows more, or everything, as much as it does: for programs that count on that. What one client can make
 * the broker do is bounded by its memory and its disk then.
 */
export const rabbitMqLimits: BrokerLimits = {
  ...defaultLimits,
  channelsPerConnectionMax: 2_047,
  consumersPerChannelMax: none,
  bindingsPerQueueMax: none,
  queuesPerVhostMax: none,
  exchangesPerVhostMax: none,
  messageSizeBytesMax: 128 * MiB,
  unsettledPerConsumerMax: none,
  unsettledPerConsumerBytesMax: 1024 * 1024 * MiB,
  transactionBytesMax: 1024 * MiB,
  heartbeatMsMin: 1_000,
};
