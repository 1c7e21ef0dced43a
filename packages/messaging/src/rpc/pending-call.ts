import { hexId, type Timer } from '@torcello/platform';
import type { Destination, OutgoingMessage } from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';
import { abortedError, type Deadline } from '../transport/deadline.js';
import type { ReplyWaiter } from '../transport/reply-desk.js';
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
  /** Called once, when the call is over; answers what a failed one rejects with. */
  readonly onEnd: (failure?: { readonly error: unknown }) => unknown;
  /** Of a call with a handle. */
  readonly handle?: { readonly progress: IncomingProgress<unknown>; readonly steering: Steering } | undefined;
}

/** What a call sends, once it is known where its answer is to go. */
export interface CallRequest {
  readonly to: Destination;
  readonly message: (reply: ReplyAddress) => OutgoingMessage;
}

/** One call on its way: sent, perhaps taken up, answered or given up. */
export class PendingCall implements ReplyWaiter {
  readonly #transport: Transport;
  readonly #setting: PendingCallSetting;
  readonly #messageId: string;
  readonly #answer: Promise<unknown>;
  #settle: { readonly resolve: (result: unknown) => void; readonly reject: (error: unknown) => void } | undefined;
  #forget: () => void = () => undefined;
  #stage: 'connecting' | 'sending' | 'waiting' = 'connecting';
  #isTakenUp = false;
  #earlyResult: unknown = null;
  #silence: Timer | undefined;

  constructor(transport: Transport, setting: PendingCallSetting) {
    this.#transport = transport;
    this.#setting = setting;
    this.#messageId = hexId(transport.random);
    this.#answer = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
  }

  /** Sends the request and waits for the answer. */
  run(request: CallRequest): Promise<unknown> {
    const { replies } = this.#transport;
    const { signal } = this.#setting.deadline;
    this.#forget = replies.expect(this.#messageId, this);
    if (signal.aborted) this.#onAbort();
    signal.addEventListener('abort', this.#onAbort, { once: true });
    const queue = replies.openAddress;
    if (queue !== undefined) this.#send(request, queue);
    else replies.address(signal).then((opened) => this.#send(request, opened), this.#fail);
    return this.#answer;
  }

  #send({ message, to }: CallRequest, queue: string): void {
    if (this.#settle === undefined) return;
    const { deadline, handle } = this.#setting;
    this.#stage = 'sending';
    try {
      const sent = message(this.#replyAddress(queue));
      handle?.steering.begin(this.#messageId);
      // Servers drop a repeat by its unique id, so a call survives a reconnect.
      const options = { signal: deadline.signal, timeoutMs: Infinity, resend: true };
      // A server may answer before the broker confirms: then the confirm is not waited for.
      this.#transport.publish(to, sent, options).then(this.#onSent, this.#fail);
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #onSent = (): void => {
    if (this.#settle === undefined) return;
    this.#stage = 'waiting';
    this.#watchSilence();
  };

  readonly #onAbort = (): void => this.#fail(abortedError(this.#setting.deadline.signal));

  readonly #fail = (error: unknown): void => {
    const settle = this.#settle;
    if (settle === undefined) return;
    this.#end();
    settle.reject(this.#setting.onEnd({ error: this.#explain(error) }));
  };

  #succeed(result: unknown): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    this.#end();
    this.#setting.onEnd();
    settle.resolve(result);
  }

  /** Nothing that comes from now on counts. */
  #end(): void {
    this.#settle = undefined;
    this.#forget();
    this.#silence?.cancel();
  }

  #replyAddress(queue: string): ReplyAddress {
    const { options, handle } = this.#setting;
    const { callMonitorTimeoutMs: monitorMs, acceptedWithinMs } = options;
    return {
      messageId: this.#messageId,
      queue,
      monitorMs,
      wantsAcceptance: acceptedWithinMs !== undefined,
      progressWindow: handle === undefined ? undefined : limits.progressWindow,
    };
  }

  /** No answer can come any more. */
  onEnd(error: MessagingError): void {
    this.#fail(error);
  }

  onReply(reply: Reply): void {
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
    if (reply.failure !== undefined) this.#fail(decodeFailure(reply.failure));
    else if (reply.isEnding) this.#succeed(reply.result ?? this.#earlyResult);
  }

  /** Restarts the timer for signs of life, or the one for the first of them. */
  #watchSilence(): void {
    const { callMonitorTimeoutMs, acceptedWithinMs } = this.#setting.options;
    const limitMs = this.#isTakenUp ? callMonitorTimeoutMs : least(acceptedWithinMs, callMonitorTimeoutMs);
    this.#silence?.cancel();
    if (limitMs === undefined) return;
    const code = !this.#isTakenUp && limitMs === acceptedWithinMs ? 'NO_SERVER' : 'TIMEOUT';
    this.#silence = this.#transport.clock.after(limitMs, () => this.#fail(this.#silent(code, limitMs)));
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
