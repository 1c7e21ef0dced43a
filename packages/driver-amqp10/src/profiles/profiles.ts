import { artemis } from './artemis.js';
import { dispatch } from './dispatch.js';
import type { Profile, ProfileName } from './profile.js';
import { proton } from './proton.js';
import { qpid } from './qpid.js';
import { rabbitmq3 } from './rabbitmq3.js';
import { rabbitmq4 } from './rabbitmq4.js';
import { serviceBus } from './service-bus.js';

/** Every profile, by the name that the URL's option `profile` takes. */
export const profiles: Readonly<Record<ProfileName, Profile>> = {
  proton,
  qpid,
  dispatch,
  rabbitmq3,
  rabbitmq4,
  artemis,
  'service-bus': serviceBus,
};

/** The profile of a peer, from what it said of itself in Open. */
export function profileOf(peer: {
  readonly product: string;
  readonly version: string;
  readonly host: string;
}): Profile {
  if (peer.host.endsWith('.servicebus.windows.net')) return serviceBus;
  if (peer.product === 'RabbitMQ') return Number.parseInt(peer.version, 10) >= 4 ? rabbitmq4 : rabbitmq3;
  const known = Object.values(profiles).find(({ products }) => products.some((name) => peer.product.startsWith(name)));
  return known ?? proton;
}
