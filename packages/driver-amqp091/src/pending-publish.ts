import type { BasicProperties, ContentCommand } from '@torcello/amqp091';
import type { AbortSignalLike, Destination, OutgoingMessage } from '@torcello/messaging';
import { aborted } from './broker-errors.js';
import { toBasicProperties } from './message-properties.js';

/** One publish on its way: waiting in this process, sent, or done. */
export class PendingPublish {
  readonly destination: Destination;
  readonly properties: BasicProperties;
  readonly body: Uint8Array;
  readonly isMandatory: boolean;
  readonly settled: Promise<void>;
  /** Some of it may have left this process. */
  isSent = false;
  #isDone = false;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  readonly #signal: AbortSignalLike | undefined;
  readonly #onAbort: (() => void) | undefined;

  constructor(destination: Destination, message: OutgoingMessage, signal: AbortSignalLike | undefined) {
    this.destination = destination;
    this.properties = toBasicProperties(message);
    this.body = message.body;
    this.isMandatory = message.ifNobody === 'fail';
    this.settled = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#signal = signal;
    if (signal === undefined) return;
    this.#onAbort = () => this.reject(aborted(signal, this.isSent));
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Nobody waits for it any more. */
  get isDone(): boolean {
    return this.#isDone;
  }

  resolve(): void {
    if (this.#finish()) this.#resolve();
  }

  reject(error: Error): void {
    if (this.#finish()) this.#reject(error);
  }

  /** Whether this may be the message that the broker returned: nothing that the broker shows differs. */
  matches({ method, properties, body }: ContentCommand): boolean {
    if (!this.isMandatory || method.name !== 'basic.return') return false;
    const { exchange, routingKey } = this.destination;
    return (
      properties.messageId === this.properties.messageId &&
      method.routingKey === routingKey &&
      method.exchange === exchange &&
      Buffer.compare(body, this.body) === 0
    );
  }

  #finish(): boolean {
    if (this.#isDone) return false;
    this.#isDone = true;
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
    return true;
  }
}
