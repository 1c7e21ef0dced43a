/** Every number that bounds the driver. */
export const driverLimits = {
  /** Largest frame that we are ready to read; the peer has its own word on what we send. */
  frameSizeBytesMax: 65_536,
  /** Sessions of one connection; every link has one of its own. */
  sessionsMax: 4_096,
  /** Messages of one address sent and not yet settled; the engine's own table ends at 2,048. */
  unsettledMax: 2_000,
  /** Addresses with an open sender; beyond it the one that was idle longest is closed. */
  sendersMax: 256,
  /** Deliveries handed out and not yet settled, for each reader. */
  creditMax: 2_000,
  /** Credit for answers, as oslo.messaging gives it. */
  replyCredit: 200,
  /** How long a fetch waits for a message where the peer does not say that there is none. */
  emptyAfterMs: 250,
  /** How long a fetch waits for the peer's answer to a drain. */
  drainReplyMs: 5_000,
  /** How long a link may take to be attached or detached. */
  linkReplyMs: 10_000,
  /** How long `close` waits for outcomes that are under way. */
  closeFlushMs: 5_000,
  /** How long `close` waits for the broker's goodbye. */
  closeReplyMs: 2_000,
} as const;
