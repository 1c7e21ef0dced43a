import { leastCapabilities } from './capabilities.js';
import type { Profile } from './profile.js';

/**
 * RabbitMQ 3.x with the plugin rabbitmq_amqp1_0: an AMQP 0-9-1 client inside the broker. `/queue/NAME` makes a durable
 * classic queue, `/amq/queue/NAME` wants one that is there (of readers; what is sent to a missing one is accepted and
 * lost), and every reader of `/topic/KEY` has a copy. Nothing can be bounded, counted or deleted through it. A drain makes
 * it end the session with an internal error (3.10, classic queues).
 */
export const rabbitmq3: Profile = {
  name: 'rabbitmq3',
  isTested: true,
  products: ['RabbitMQ'],
  capabilities: {
    ...leastCapabilities,
    mailboxes: true,
    redelivers: true,
    refusesMissing: true,
    fanout: true,
    messageSizeBytesMax: 128 * 1024 * 1024,
  },
  addresses: {
    queue: (name) => (name.startsWith('/') ? name : `/amq/queue/${encodeURIComponent(name)}`),
    declaring: (name) => `/queue/${encodeURIComponent(name)}`,
    exchange: (exchange, key) => `/exchange/${encodeURIComponent(exchange)}/${encodeURIComponent(key)}`,
    target: (osloName, { fanout }) =>
      fanout === true ? `/topic/${encodeURIComponent(osloName)}` : `/amq/queue/${encodeURIComponent(osloName)}`,
    // A queue of this name would stay for ever; a copy of a topic goes with its reader.
    replies: (name) => `/topic/${encodeURIComponent(name)}`,
  },
  drains: false,
  releaseAs: 'released',
  marksFirstAcquirer: true,
  replies: 'named',
  vhost: { in: 'hostname', prefix: 'vhost:' },
  makes: 'by-attaching',
};
