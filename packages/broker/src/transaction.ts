import { limitReached } from './limit-reached.js';
import type { RoutedPublish } from './publishing.js';
import type { Settlement, UnsettledDelivery } from './unsettled.js';

/** Settlements that one method asked for. */
interface HeldSettlement {
  readonly deliveries: readonly UnsettledDelivery[];
  readonly how: Settlement;
}

/** What a transaction held back, in order. */
export interface HeldWork {
  readonly publishes: readonly RoutedPublish[];
  readonly settlements: readonly HeldSettlement[];
}

/** Bytes that a held publish or settlement costs besides its content, roughly. */
const overheadBytes = 128;

/**
 * The publishes and settlements of one channel in transaction mode (AMQP 0-9-1 §1.9): held until `tx.commit`, forgotten
 * at `tx.rollback`. Publishes are routed when they are sent, as on RabbitMQ.
 */
export class Transaction {
  readonly #bytesMax: number;
  #publishes: RoutedPublish[] = [];
  #settlements: HeldSettlement[] = [];
  #bytes = 0;

  /** @param bytesMax - messages and settlements that one transaction may hold. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @throws RESOURCE_ERROR when the transaction holds more than it may. */
  holdPublish(publish: RoutedPublish): void {
    this.#count(overheadBytes + publish.message.contentBytes);
    publish.message.keep();
    this.#publishes.push(publish);
  }

  holdSettlement(deliveries: readonly UnsettledDelivery[], how: Settlement): void {
    this.#settlements.push({ deliveries, how });
    this.#count(overheadBytes);
  }

  /** Hands over everything held and begins anew. */
  take(): HeldWork {
    const work = { publishes: this.#publishes, settlements: this.#settlements };
    this.#publishes = [];
    this.#settlements = [];
    this.#bytes = 0;
    return work;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= this.#bytesMax) return;
    throw limitReached('transactionBytesMax', this.#bytesMax, { of: 'bytes of one transaction' });
  }
}
