/** What has happened since the start, for whoever draws curves. Only counts up. */
export interface Counters {
  connectionsOpened: number;
  connectionsClosed: number;
  channelsOpened: number;
  channelsClosed: number;
  loginsRefused: number;
  queuesDeclared: number;
  queuesCreated: number;
  queuesDeleted: number;
  published: number;
  confirmed: number;
  /** Publishes that matched no queue: handed back, or dropped. */
  returned: number;
  dropped: number;
  delivered: number;
  /** Deliveries that need no settlement. */
  deliveredSettled: number;
  redelivered: number;
  got: number;
  gotNothing: number;
  acked: number;
}

export function zeroCounters(): Counters {
  return {
    connectionsOpened: 0,
    connectionsClosed: 0,
    channelsOpened: 0,
    channelsClosed: 0,
    loginsRefused: 0,
    queuesDeclared: 0,
    queuesCreated: 0,
    queuesDeleted: 0,
    published: 0,
    confirmed: 0,
    returned: 0,
    dropped: 0,
    delivered: 0,
    deliveredSettled: 0,
    redelivered: 0,
    got: 0,
    gotNothing: 0,
    acked: 0,
  };
}
