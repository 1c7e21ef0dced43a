/** Every number that bounds the driver. */
export const driverLimits = {
  /** Frame size that is asked for; the broker may lower it. */
  frameSizeBytesMax: 131_072,
  /** Channels of one AMQP connection that are asked for; the broker may lower it. */
  channelsMax: 2_047,
  /** Publishes sent and not yet confirmed; more wait in this process. */
  unconfirmedMax: 2_048,
  /** Bytes that wait for the socket; beyond it publishes wait. */
  socketBacklogBytesMax: 4_194_304,
  /** Operations under way at a time, each on a channel of its own; more wait for their turn. */
  operationsMax: 32,
  /** Idle channels that are kept for operations. */
  idleChannelsMax: 4,
  /** Message bodies that are accepted from the broker. RabbitMQ 3 carries so much, 4 carries 16 MiB. */
  incomingMessageBytesMax: 134_217_728,
  /** How long the accept of an answer waits for others. A loss meanwhile brings it again: nobody waits for it then. */
  answerAcceptDelayMs: 10,
  /** How long `close` waits for confirms that are under way. */
  closeFlushMs: 5_000,
  /** How long `close` waits for the broker's goodbye. */
  closeReplyMs: 2_000,
  /** Life of a reply or fanout queue without a reader, where nothing else is said. */
  transientQueueMs: 1_800_000,
  /** Largest window that the protocol can express; 0 on the wire means unlimited. */
  creditMax: 65_535,
} as const;
