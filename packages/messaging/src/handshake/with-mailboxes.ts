import type { Transport } from '../transport/transport.js';

/** What stands in for the transport's own: whatever concerns mailboxes. */
export type Stand = Pick<Transport, 'ensure' | 'publish' | 'get' | 'consume' | 'inspect' | 'delete' | 'close'>;

/** The same transport, with mailboxes that it does not have by itself. */
export function withMailboxes(inner: Transport, stand: Stand): Transport {
  return {
    get capabilities() {
      return { ...inner.capabilities, mailboxes: true };
    },
    get wire() {
      return inner.wire;
    },
    get state() {
      return inner.state;
    },
    clock: inner.clock,
    random: inner.random,
    logger: inner.logger,
    replies: inner.replies,
    onState: (listener) => inner.onState(listener),
    ready: (options) => inner.ready(options),
    ...stand,
    [Symbol.asyncDispose]: () => stand.close(),
  };
}
