import type { Capabilities } from '@torcello/messaging';

/** What every AMQP 1.0 peer can do, and no more. A profile adds what its broker can do beyond it. */
export const leastCapabilities: Capabilities = {
  durableConfirm: false,
  returns: false,
  mailboxes: false,
  administers: false,
  deliveryCount: false,
  fanout: false,
  priorityMax: 0,
  redelivers: false,
  bounds: false,
  routes: false,
  inspects: false,
  refusesMissing: false,
  keepsReplies: false,
  messageSizeBytesMax: 16 * 1024 * 1024,
};
