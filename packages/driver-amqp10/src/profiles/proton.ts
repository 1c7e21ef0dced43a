import { leastCapabilities } from './capabilities.js';
import type { Profile } from './profile.js';

/**
 * Qpid Proton's example broker, and any peer that does not say what it is. It keeps queues in memory, makes one for every
 * address it hears of, forgets a message as soon as it has sent it, and never answers a drain.
 */
export const proton: Profile = {
  name: 'proton',
  isTested: true,
  products: [],
  capabilities: { ...leastCapabilities, keepsReplies: true },
  addresses: {
    queue: (name) => name,
    exchange: (exchange, routingKey) => `${exchange}/${routingKey}`,
    target: (osloName) => osloName,
    replies: (name) => name,
  },
  drains: false,
  releaseAs: 'modified',
  marksFirstAcquirer: false,
  replies: 'named',
  vhost: { in: 'address' },
  makes: 'by-itself',
};
