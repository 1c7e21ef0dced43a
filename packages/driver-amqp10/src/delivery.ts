import type { Delivery, Destination, IncomingMessage } from '@torcello/messaging';
import type { Delivery as EngineDelivery } from 'rhea';
import { fromEngine, isRepeat } from './message-format.js';
import type { OutcomeKind } from './outcomes.js';
import type { Profile } from './profiles/profile.js';
import type { ReceiverLink } from './receiver-link.js';

export interface DeliveryOptions {
  readonly message: Readonly<Record<string, unknown>>;
  readonly delivery: EngineDelivery;
  readonly destination: Destination;
  readonly profile: Profile;
  readonly link: () => ReceiverLink;
  readonly onSettled: () => void;
}

/** One message of one link; settling it after the link's end does nothing. */
export class Amqp10Delivery implements Delivery {
  readonly message: IncomingMessage;
  readonly destination: Destination;
  readonly redelivered: boolean;
  readonly earlierDeliveries: number | undefined;
  readonly #options: DeliveryOptions;
  #isSettled = false;

  /** @throws UNDECODABLE for a body of no known kind. */
  constructor(options: DeliveryOptions) {
    const { message, profile } = options;
    this.#options = options;
    this.message = fromEngine(message);
    this.destination = options.destination;
    const { delivery_count: count, first_acquirer: isFirst } = message;
    const failed = typeof count === 'number' ? count : 0;
    const wasAcquired = profile.marksFirstAcquirer && isFirst === false;
    this.redelivered = failed > 0 || wasAcquired || isRepeat(message);
    this.earlierDeliveries = profile.capabilities.deliveryCount ? failed : undefined;
  }

  accept(): boolean {
    return this.#settle('accept', (delivery) => delivery.accept());
  }

  release(): boolean {
    const isCounted = this.#options.profile.releaseAs === 'modified';
    return this.#settle('release', (delivery) =>
      isCounted ? delivery.modified({ delivery_failed: true }) : delivery.release(),
    );
  }

  reject(): boolean {
    return this.#settle('reject', (delivery) => delivery.reject());
  }

  #settle(kind: OutcomeKind, write: (delivery: EngineDelivery) => void): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    const isHeard = this.#options.link().settle(kind, () => write(this.#options.delivery));
    this.#options.onSettled();
    return isHeard;
  }
}
