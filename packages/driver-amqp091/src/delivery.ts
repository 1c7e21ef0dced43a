import type { ContentCommand } from '@torcello/amqp091';
import type { Delivery, Destination, IncomingMessage } from '@torcello/messaging';
import { earlierDeliveries, toMessage } from './message-properties.js';
import type { Settlement } from './settlement.js';

/** One message of one channel; a later connection has other channels, so a late answer can never hit another message. */
export class AmqpDelivery implements Delivery {
  readonly message: IncomingMessage;
  readonly destination: Destination;
  readonly redelivered: boolean;
  readonly earlierDeliveries: number | undefined;
  readonly #tag: number;
  readonly #settlement: Settlement;
  readonly #onSettled: (() => void) | undefined;
  #isSettled = false;

  constructor(command: ContentCommand, settlement: Settlement, onSettled?: () => void) {
    const { method } = command;
    if (method.name !== 'basic.deliver' && method.name !== 'basic.get-ok')
      throw new TypeError(`${method.name} delivers nothing`);
    this.message = toMessage(command.properties, command.body);
    this.destination = { exchange: method.exchange, routingKey: method.routingKey };
    this.redelivered = method.redelivered;
    this.earlierDeliveries = earlierDeliveries(command.properties, method.redelivered);
    this.#tag = method.deliveryTag;
    this.#settlement = settlement;
    this.#onSettled = onSettled;
    settlement.add(method.deliveryTag);
  }

  accept(): boolean {
    return this.#settle() && this.#done(this.#settlement.accept(this.#tag));
  }

  release(): boolean {
    return this.#settle() && this.#done(this.#settlement.reject(this.#tag, true));
  }

  reject(): boolean {
    return this.#settle() && this.#done(this.#settlement.reject(this.#tag, false));
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    return true;
  }

  #done(isHeard: boolean): boolean {
    this.#onSettled?.();
    return isHeard;
  }
}
