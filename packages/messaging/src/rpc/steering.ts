import { hexId, type Timer } from '@torcello/platform';
import type { OutgoingMessage } from '../driver.js';
import { limits } from '../limits.js';
import { AbortTrigger } from '../abort.js';
import type { Transport } from '../transport/transport.js';
import { steeringId } from '../wire/reply.js';

/**
 * The caller's way to a call that runs elsewhere: says how much progress it takes, and that it has given up. Both are
 * hints that may be lost: the deadline ends the call all the same. Servers of Python never say where they can be told.
 */
export class Steering {
  readonly #transport: Transport;
  #messageId = '';
  #steerAt: string | undefined;
  #allowed: number | undefined;
  #isCancelled = false;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The request goes out under this id. */
  begin(messageId: string): void {
    this.#messageId = messageId;
  }

  /** A server took the call up and said where it can be told more. */
  onSteerable(steerAt: string): void {
    this.#steerAt = steerAt;
    if (this.#isCancelled) this.#say('cancel');
    else if (this.#allowed !== undefined) this.#say(this.#allowed);
  }

  allow(total: number): void {
    this.#allowed = total;
    if (this.#steerAt !== undefined && !this.#isCancelled) this.#say(total);
  }

  /** @param remainingMs - how long the server would go on. A server that takes the call up until then is told at once. */
  cancel(remainingMs: number): void {
    if (this.#isCancelled || this.#messageId === '') return;
    this.#isCancelled = true;
    if (this.#steerAt !== undefined) return this.#say('cancel');
    const { replies, clock } = this.#transport;
    const forget = (): void => {
      timer.cancel();
      forgetWaiter();
    };
    const timer: Timer = clock.after(Math.min(remainingMs, limits.cancelMemoryMs), forget);
    const forgetWaiter = replies.expect(this.#messageId, {
      onReply: ({ steerAt, isEnding }) => {
        if (steerAt !== undefined) this.onSteerable(steerAt);
        if (steerAt !== undefined || isEnding) forget();
      },
      onEnd: forget,
    });
  }

  #say(steer: 'cancel' | number): void {
    void this.#send(steer).catch((error: unknown) =>
      this.#transport.logger.debug('a server could not be told about a call', { error, steer }),
    );
  }

  async #send(steer: 'cancel' | number): Promise<void> {
    const { wire, random } = this.#transport;
    const blank = { result: null, failure: undefined, isEnding: false, isAccepted: false };
    const messageId = steeringId(this.#messageId);
    const wired = wire.reply({ ...blank, messageId, steer, uniqueId: hexId(random) });
    const message: OutgoingMessage = { ...wired, ifNobody: 'fail' };
    await this.#transport.publish({ exchange: '', routingKey: this.#steerAt ?? '' }, message, { resend: true });
  }
}

/** What the caller of a running call says. */
export interface SteeringListener {
  onAllow(total: number): void;
  onCancel(): void;
}

/**
 * The server's end: where the caller of this call can say more, and the end of listening to it. Undefined when this
 * transport cannot have a reply address.
 */
export async function listenForSteering(
  transport: Transport,
  messageId: string,
  listener: SteeringListener,
): Promise<{ readonly address: string; readonly stop: () => void } | undefined> {
  const stop = transport.replies.expect(steeringId(messageId), {
    onReply: ({ steer }) => {
      if (steer === 'cancel') listener.onCancel();
      else if (steer !== undefined) listener.onAllow(steer);
    },
    onEnd: () => undefined,
  });
  try {
    return { address: await transport.replies.address(new AbortTrigger()), stop };
  } catch (error) {
    transport.logger.warn('calls cannot be cancelled or tell progress: no reply address', { error });
    stop();
    return undefined;
  }
}
