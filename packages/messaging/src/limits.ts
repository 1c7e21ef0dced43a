/** Every number that bounds the library. Options of the same name override it where a docstring says so. */
export const limits = {
  /** How long a publish, or an operation on topology, may take in all, waiting for a connection included. */
  operationTimeoutMs: 30_000,
  /** How long a call may take in all, connecting included. oslo's `rpc_response_timeout`. */
  callTimeoutMs: 60_000,
  /** Dialling and handshake of one host. */
  connectTimeoutMs: 5_000,
  /** Asked-for heartbeat interval of a connection. */
  heartbeatMs: 10_000,
  /** First wait before a connection or a consumer is tried again; doubles up to the next one, with jitter. */
  retryDelayMsFirst: 200,
  retryDelayMsMax: 10_000,
  /** Requests that one RPC server handles at a time. oslo's `executor_thread_pool_size`. */
  rpcConcurrency: 64,
  /** Ids of requests or notifications that a listener remembers to drop repeats. oslo's duplicate window. */
  duplicateWindowMessages: 16,
  /** Time between two attempts to send a reply whose queue is missing, and for how long it is tried. */
  replyRetryDelayMs: 250,
  replyRetryMs: 60_000,
  /** Answers of one server that wait for their queue; more are dropped at once. */
  waitingRepliesMax: 1_000,
  /** Reply queues found missing for good: how many are remembered and how long replies to them are dropped unsent. */
  missingReplyQueues: 200,
  missingReplyQueueMs: 60_000,
  /** How long a reply or fanout queue outlives its connection, so that a reconnect finds it. oslo's 30 minutes. */
  transientQueueMs: 1_800_000,
  /** Below this interval a server refuses to send signs of life. oslo's 2 seconds. */
  callMonitorMsMin: 2_000,
  /** How long `stop` of a server waits for running methods before their signals are aborted. */
  stopGraceMs: 30_000,
  /** Notifications handed out and not yet settled, for each listener's queue. */
  notificationCredit: 16,
  /** Notifications of one batch, and how long the first of them waits for more. */
  notificationBatch: 100,
  notificationBatchMs: 1_000,
  /** Pieces of progress that a call handle holds before its reader has taken one; the server waits then. */
  progressWindow: 16,
  /** Items of a streamed answer that are gathered into one for a caller that cannot read a stream. */
  gatheredItemsMax: 10_000,
  /** How long a cancelled call without a time limit is remembered, to cancel it when a server takes it up. */
  cancelMemoryMs: 60_000,
  /** How long a token may be used to claim a mailbox, unless it says otherwise. */
  claimTokenMs: 900_000,
  /** Ids of superseded letters that a reader without a ledger remembers, to drop them unread. */
  supersededLettersMax: 1_000,
  /** Receipts that a collector works on at a time. */
  receiptCredit: 32,
  /** Tries of one change of a ledger's record while others change it too. */
  ledgerTriesMax: 100,
  /** Nesting of arrays and objects in a message body. */
  jsonDepth: 512,
  /** Size of a compressed body after unpacking. */
  inflatedSizeBytesMax: 8_388_608,
} as const;
