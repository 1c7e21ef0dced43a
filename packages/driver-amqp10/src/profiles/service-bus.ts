import { leastCapabilities } from './capabilities.js';
import { proton } from './proton.js';
import type { Profile } from './profile.js';

/** Azure Service Bus with a shared access key as SASL PLAIN; entities are made beforehand. Untested. */
export const serviceBus: Profile = {
  ...proton,
  name: 'service-bus',
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
    messageSizeBytesMax: 256 * 1024,
  },
  drains: true,
};
