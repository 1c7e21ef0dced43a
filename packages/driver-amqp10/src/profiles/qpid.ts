import { leastCapabilities } from './capabilities.js';
import { proton } from './proton.js';
import type { Profile } from './profile.js';

/** Qpid C++ broker and Broker-J. Untested. */
export const qpid: Profile = {
  ...proton,
  name: 'qpid',
  isTested: false,
  products: ['qpid-cpp', 'qpid'],
  capabilities: { ...leastCapabilities, redelivers: true, deliveryCount: true, refusesMissing: true, fanout: true },
  drains: true,
  replies: 'dynamic',
};
