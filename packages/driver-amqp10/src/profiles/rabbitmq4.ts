import { leastCapabilities } from './capabilities.js';
import type { Profile } from './profile.js';

/** RabbitMQ 4 and its addresses of version 2; quorum queues, an unroutable message is released. Untested. */
export const rabbitmq4: Profile = {
  name: 'rabbitmq4',
  isTested: false,
  products: [],
  capabilities: {
    ...leastCapabilities,
    durableConfirm: true,
    returns: true,
    mailboxes: true,
    redelivers: true,
    deliveryCount: true,
    refusesMissing: true,
    keepsReplies: true,
  },
  addresses: {
    queue: (name) => (name.startsWith('/') ? name : `/queues/${encodeURIComponent(name)}`),
    exchange: (exchange, key) => `/exchanges/${encodeURIComponent(exchange)}/${encodeURIComponent(key)}`,
    target: (osloName) => `/queues/${encodeURIComponent(osloName)}`,
    replies: (name) => `/queues/${encodeURIComponent(name)}`,
  },
  drains: true,
  releaseAs: 'modified',
  marksFirstAcquirer: false,
  replies: 'named',
  vhost: { in: 'hostname', prefix: 'vhost:' },
  makes: 'elsewhere',
};
