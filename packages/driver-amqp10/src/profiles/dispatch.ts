import { leastCapabilities } from './capabilities.js';
import { proton } from './proton.js';
import type { Profile } from './profile.js';

/**
 * Qpid Dispatch and Skupper routers: they store nothing, an outcome is the receiver's own, and an address without a
 * receiver gives no credit or releases. Untested.
 */
export const dispatch: Profile = {
  ...proton,
  name: 'dispatch',
  isTested: false,
  products: ['qpid-dispatch-router', 'skupper-router'],
  capabilities: { ...leastCapabilities, returns: true, fanout: true },
  drains: true,
  replies: 'dynamic',
};
