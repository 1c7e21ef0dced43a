import type { Delivery, Destination } from '@torcello/messaging';
import type { Timer } from '@torcello/platform';
import { Amqp10Delivery } from './delivery.js';
import { driverLimits } from './limits.js';
import type { Profile } from './profiles/profile.js';
import { ReceiverLink, type ReceiverLinkOptions } from './receiver-link.js';

export interface FetchOptions extends Omit<ReceiverLinkOptions, 'onMessage'> {
  readonly destination: Destination;
  readonly profile: Profile;
}

/**
 * One message, if one is there: credit 1 and drain. A peer that answers no drain is given a moment instead; what comes
 * until it has answered the detach is still handed out.
 */
export async function fetchOne(options: FetchOptions): Promise<Delivery | undefined> {
  const { clock, destination, profile } = options;
  let found: Amqp10Delivery | undefined;
  let onFound: () => void = () => undefined;
  const arrived = new Promise<void>((resolve) => (onFound = resolve));
  const onSettled = (): void => void link.close();
  const link: ReceiverLink = new ReceiverLink({
    ...options,
    onMessage: (message, delivery) => {
      try {
        found = new Amqp10Delivery({ message, delivery, destination, profile, link: () => link, onSettled });
      } catch {
        // Nobody can read it, here or elsewhere: as if it were not there.
        link.settle('reject', () => delivery.reject());
      }
      onFound();
    },
  });
  await link.attached();
  link.addCredit(1);
  let timer: Timer | undefined;
  const patienceMs = profile.drains ? driverLimits.drainReplyMs : driverLimits.emptyAfterMs;
  const late = new Promise<void>((resolve) => (timer = clock.after(patienceMs, resolve)));
  await Promise.race([arrived, late, link.ended, ...(profile.drains ? [link.drain()] : [])]);
  timer?.cancel();
  if (found === undefined) {
    const reason = await Promise.race([link.ended, link.close().then(() => undefined)]);
    if (reason !== undefined && found === undefined) throw reason;
  }
  return found;
}
