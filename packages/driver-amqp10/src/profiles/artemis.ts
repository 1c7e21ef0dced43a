import { leastCapabilities } from './capabilities.js';
import { proton } from './proton.js';
import type { Profile } from './profile.js';

/** ActiveMQ Artemis: makes addresses by itself, anycast or multicast as the link's capability asks. Untested. */
export const artemis: Profile = {
  ...proton,
  name: 'artemis',
  isTested: false,
  products: ['apache-activemq-artemis'],
  capabilities: {
    ...leastCapabilities,
    durableConfirm: true,
    mailboxes: true,
    redelivers: true,
    deliveryCount: true,
    fanout: true,
  },
  addresses: { ...proton.addresses, nodeCapabilities: (isCopied) => [isCopied ? 'topic' : 'queue'] },
  drains: true,
  replies: 'dynamic',
};
