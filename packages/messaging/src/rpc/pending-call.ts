import { hexId, type Timer } from '@torcello/platform';
import type { Destination, OutgoingMessage } from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';
import { abortedError, type Deadline } from '../transport/deadline.js';
import type { Transport } from '../transport/transport.js';
import type { Reply } from '../wire/reply.js';
import type { RpcClientOptions } from './client.js';
import type { IncomingProgress } from './incoming-progress.js';
import type { Steering } from './steering.js';
import { limits } from '../limits.js';
import { decodeFailure } from './failure.js';
import type { ReplyAddress } from './request.js';

export interface PendingCallSetting {
  readonly method: string;
  readonly deadline: Deadline;
  readonly options: Pick<RpcClientOptions, 'callMonitorTimeoutMs' | 'acceptedWithinMs'>;
  /** Of a call with a handle. */
  readonly handle?: { readonly progress: IncomingProgress<unknown>; readonly steering: Steering } | undefined;
}

/** One call on its way: sent, perhaps taken up, answered or given up. */
export class PendingCall {
  readonly #transport: Transport;
  readonly #setting: PendingCallSetting;
  readonly #answer: Promise<unknown>;
  #resolve: (result: unknown) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;
  #stage: 'connecting' | 'sending' | 'waiting' = 'connecting';
  #isTakenUp = false;
  #isOver = false;
  #earlyResult: unknown = null;
  #silence: Timer | undefined;

  constructor(transport: Transport, setting: PendingCallSetting) {
    this.#transport = transport;
    this.#setting = setting;
    this.#answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // It may be rejected while the request is still being sent; whoever awaits it later gets the error all the same.
    this.#answer.catch(() => undefined);
  }

  /** Sends what `message` makes of the reply address, and waits for the answer. */
  async run(message: (reply: ReplyAddress) => OutgoingMessage, to: Destination): Promise<unknown> {
    const { deadline } = this.#setting;
    const messageId = hexId(this.#transport.random);
    const forget = this.#transport.replies.expect(messageId, {
      onReply: (reply) => this.#onReply(reply),
      onEnd: (error) => this.#reject(error),
    });
    try {
      const queue = await this.#transport.replies.address(deadline.signal);
      this.#stage = 'sending';
      const sent = message(this.#replyAddress(messageId, queue));
      this.#setting.handle?.steering.begin(messageId);
      deadline.signal.addEventListener('abort', this.#onAbort, { once: true });
      // A server may answer before the broker confirms: then the confirm is not waited for.
      this.#send(to, sent).then(this.#onSent, this.#reject);
      return await this.#answer;
    } catch (error) {
      throw this.#explain(error);
    } finally {
      this.#isOver = true;
      forget();
      this.#silence?.cancel();
    }
  }

  readonly #onSent = (): void => {
    if (this.#isOver) return;
    this.#stage = 'waiting';
    this.#watchSilence();
  };

  readonly #onAbort = (): void => this.#reject(abortedError(this.#setting.deadline.signal));

  #replyAddress(messageId: string, queue: string): ReplyAddress {
    const { options, handle } = this.#setting;
    const { callMonitorTimeoutMs: monitorMs, acceptedWithinMs } = options;
    const progressWindow = handle === undefined ? undefined : limits.progressWindow;
    return { messageId, queue, monitorMs, wantsAcceptance: acceptedWithinMs !== undefined, progressWindow };
  }

  async #send(to: Destination, message: OutgoingMessage): Promise<void> {
    const { signal } = this.#setting.deadline;
    // Servers drop a repeat by its unique id, so a call survives a reconnect.
    await this.#transport.publish(to, message, { signal, timeoutMs: Infinity, resend: true });
  }

  #onReply(reply: Reply): void {
    if (!reply.isEnding) this.#isTakenUp = true;
    if (reply.steerAt !== undefined) this.#setting.handle?.steering.onSteerable(reply.steerAt);
    if (reply.progressAt !== undefined) {
      this.#setting.handle?.progress.add(reply.progressAt, reply.result);
      return this.#watchSilence();
    }
    if (!reply.isEnding) {
      // Long ago servers sent the result first and the ending after it (oslo 1.6).
      this.#earlyResult = reply.result ?? this.#earlyResult;
      this.#watchSilence();
    }
    if (reply.failure !== undefined) this.#reject(decodeFailure(reply.failure));
    else if (reply.isEnding) this.#resolve(reply.result ?? this.#earlyResult);
  }

  /** Restarts the timer for signs of life, or the one for the first of them. */
  #watchSilence(): void {
    const { callMonitorTimeoutMs, acceptedWithinMs } = this.#setting.options;
    const limitMs = this.#isTakenUp ? callMonitorTimeoutMs : least(acceptedWithinMs, callMonitorTimeoutMs);
    this.#silence?.cancel();
    if (limitMs === undefined) return;
    const code = !this.#isTakenUp && limitMs === acceptedWithinMs ? 'NO_SERVER' : 'TIMEOUT';
    this.#silence = this.#transport.clock.after(limitMs, () => this.#reject(this.#silent(code, limitMs)));
  }

  #silent(code: 'NO_SERVER' | 'TIMEOUT', limitMs: number): MessagingError {
    const { method } = this.#setting;
    const what = code === 'NO_SERVER' ? 'no server took up' : 'no sign of life came from';
    const details = { method, limitMs, stage: this.#stage, isTakenUp: this.#isTakenUp };
    return new MessagingError(code, `${what} the call of "${method}" within ${limitMs} ms`, { details });
  }

  /** Names what the caller waited for in vain: these are different troubles with different cures. */
  #explain(error: unknown): unknown {
    const { deadline, method } = this.#setting;
    const isLate = deadline.isOver && (isMessagingError(error, 'ABORTED') || isMessagingError(error, 'TIMEOUT'));
    if (!isLate) return deadline.translate(error, `the call of "${method}"`);
    const { timeoutMs } = deadline;
    const details = {
      method,
      timeoutMs,
      stage: this.#stage,
      isTakenUp: this.#isTakenUp,
      mayArrive: this.#stage !== 'connecting',
    };
    if (this.#stage === 'waiting' && this.#transport.state === 'connecting') {
      return new MessagingError('CONNECTION_LOST', `the connection was lost while "${method}" was called`, { details });
    }
    const doing = {
      connecting: 'there was no connection',
      sending: 'the broker did not confirm',
      waiting: 'no answer came',
    };
    return new MessagingError(
      'TIMEOUT',
      `the call of "${method}" took longer than ${timeoutMs} ms: ${doing[this.#stage]}`,
      { details },
    );
  }
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}
