/**
 * Every number that bounds what a client may make the broker do, in one table: name, unit, default and why. Each may be
 * changed at start; none may be switched off.
 */
export interface BrokerLimits {
  /** Largest frame before the login stands, in bytes. */
  readonly frameSizeBeforeLoginBytesMax: number;
  /** Time for handshake and login, in milliseconds; then the connection is dropped. */
  readonly loginMsMax: number;
  /** Connections that have not logged in yet, over all addresses. More are dropped unanswered. */
  readonly connectionsBeforeLoginMax: number;
  /** The same for one remote address. Loopback addresses are exempt: they do not tell clients apart. */
  readonly connectionsBeforeLoginPerAddressMax: number;
  /** Logged-in connections. More are refused with 530. */
  readonly connectionsMax: number;
  /** Logged-in connections of one user. More are refused with 530. */
  readonly connectionsPerUserMax: number;
  /** Largest frame after the login, in bytes: what the broker proposes in `connection.tune`. */
  readonly frameSizeBytesMax: number;
  /** Open channels of one connection, proposed in `connection.tune`. */
  readonly channelsPerConnectionMax: number;
  /** Consumers of one channel. More are refused with 506. */
  readonly consumersPerChannelMax: number;
  /** Bindings of one queue. More are refused with 506. */
  readonly bindingsPerQueueMax: number;
  /** Queues of one virtual host. More are refused with 506. */
  readonly queuesPerVhostMax: number;
  /** Exchanges of one virtual host. More are refused with 506. */
  readonly exchangesPerVhostMax: number;
  /** Body of one message, in bytes, checked on the content header before the body is read. */
  readonly messageSizeBytesMax: number;
  /** Deliveries that a consumer has not settled yet, whatever prefetch it asked for. */
  readonly unsettledPerConsumerMax: number;
  /** Bytes of messages, properties and body, that a consumer has not settled yet. One delivery may pass it. */
  readonly unsettledPerConsumerBytesMax: number;
  /**
   * Time that a delivery may wait for its settlement, in milliseconds; then its channel is closed with 406. A queue may
   * say otherwise by `x-consumer-timeout`.
   */
  readonly consumerTimeoutMs: number;
  /** How often a channel looks for such deliveries, in milliseconds. */
  readonly consumerTimeoutCheckMs: number;
  /** Interval proposed in `connection.tune`, in milliseconds; a client may ask for a shorter one. */
  readonly heartbeatMs: number;
  /** Silence is never judged by a shorter interval than this, in milliseconds, whatever the client asked for. */
  readonly heartbeatMsMin: number;
  /** Bytes waiting in the socket of a slow reader before its consumers pause. */
  readonly outboundBytesMax: number;
  /** Bytes waiting for a client that asks and does not read the answers, before reading from it stops. */
  readonly unreadBytesMax: number;
  /** Frames of one channel that wait behind a declaration which is being made durable, before reading stops. */
  readonly channelBacklogFramesMax: number;
  /** Bytes that wait for the commit after the running one, before reading from publishers stops. */
  readonly uncommittedBytesMax: number;
  /** Messages and settlements that one transaction may hold before its commit, in bytes. More is refused with 506. */
  readonly transactionBytesMax: number;
  /** Free space of the data folder, in bytes, below which publishes wait; acknowledgements go on. */
  readonly diskFreeBytesMin: number;
  /** Room kept aside on the disk, in bytes, that a full disk gives back so that acknowledgements go on. */
  readonly diskReserveBytes: number;
  /** After how long a change that found no room is tried again, in milliseconds. */
  readonly fullDiskRetryMs: number;
  /** How often free space and memory are looked at, in milliseconds. */
  readonly resourceCheckMs: number;
  /**
   * Memory that waiting messages may take, in bytes. Beyond it those that lie on disk are let go of, and read back when
   * somebody wants them.
   */
  readonly residentMessageBytesMax: number;
  /** Memory of the process, in bytes, without mapped files, above which publishes wait. */
  readonly memoryBytesMax: number;
  /** Body of a management request, in bytes. */
  readonly managementBodyBytesMax: number;
  /** Definitions that are imported, in bytes. */
  readonly definitionsBytesMax: number;
  /** Users of the broker. */
  readonly usersMax: number;
  /** Policies of one virtual host, those of the operator counted apart. */
  readonly policiesPerVhostMax: number;
}

const MiB = 1024 * 1024;

export const defaultLimits: BrokerLimits = {
  frameSizeBeforeLoginBytesMax: 4096,
  loginMsMax: 5_000,
  connectionsBeforeLoginMax: 64,
  connectionsBeforeLoginPerAddressMax: 8,
  connectionsMax: 10_000,
  connectionsPerUserMax: 10_000,
  frameSizeBytesMax: 128 * 1024,
  channelsPerConnectionMax: 64,
  consumersPerChannelMax: 32,
  bindingsPerQueueMax: 1_024,
  queuesPerVhostMax: 50_000,
  exchangesPerVhostMax: 10_000,
  messageSizeBytesMax: 4 * MiB,
  unsettledPerConsumerMax: 1_000,
  unsettledPerConsumerBytesMax: 64 * MiB,
  consumerTimeoutMs: 30 * 60_000,
  consumerTimeoutCheckMs: 30_000,
  heartbeatMs: 60_000,
  heartbeatMsMin: 5_000,
  outboundBytesMax: 1 * MiB,
  unreadBytesMax: 32 * MiB,
  channelBacklogFramesMax: 1_000,
  uncommittedBytesMax: 32 * MiB,
  transactionBytesMax: 32 * MiB,
  diskFreeBytesMin: 512 * MiB,
  diskReserveBytes: 16 * MiB,
  fullDiskRetryMs: 1_000,
  resourceCheckMs: 10_000,
  residentMessageBytesMax: 256 * MiB,
  memoryBytesMax: 2_048 * MiB,
  managementBodyBytesMax: 64 * 1024,
  definitionsBytesMax: 16 * MiB,
  usersMax: 100_000,
  policiesPerVhostMax: 256,
};
