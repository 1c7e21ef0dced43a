import type { Clock, Timer } from '@torcello/platform';
import type { Delivery } from '../driver.js';
import { limits } from '../limits.js';
import { traceparentOf, type CallScope } from './call-scope.js';
import type { IncomingCall } from './endpoint.js';
import type { ProgressSender } from './progress-sender.js';
import type { Wire } from '../wire/wire.js';
import { remainingHeader, type Request } from './request.js';

/** One request in the hands of a server: the delivery, what it says, and how long its caller waits. */
export class IncomingRequest {
  readonly request: Request;
  readonly receivedAtMs: number;
  /** The delivery that settles it; a later copy of the same request takes the place of an earlier one. */
  delivery: Delivery;
  isCancelled = false;
  /** It counts among those that are handled at a time. */
  hasSlot = true;
  readonly #clock: Clock;
  /** Made when somebody asks for its signal. */
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;
  /** Whether the signal follows the caller's patience. */
  #isOpen = false;
  #patience: Timer | undefined;
  #nextBeat: Timer | undefined;

  /** @throws UNDECODABLE */
  constructor(delivery: Delivery, wire: Wire, clock: Clock) {
    this.delivery = delivery;
    this.request = wire.readRequest(delivery.message);
    this.#clock = clock;
    this.receivedAtMs = clock.monotonicMs();
  }

  get remainingMs(): number | undefined {
    const announced = this.delivery.message.headers[remainingHeader];
    if (typeof announced !== 'number' || this.request.reply === undefined) return undefined;
    return Math.max(0, announced - (this.#clock.monotonicMs() - this.receivedAtMs));
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
      this.#watchPatience();
    }
    return this.#controller.signal;
  }

  get traceparent(): string | undefined {
    return traceparentOf(this.delivery.message.headers);
  }

  /** What the method's own requests inherit while it runs. */
  get scope(): CallScope {
    const remainingMs = (): number | undefined => (this.#isClosed ? undefined : this.remainingMs);
    return { remainingMs, traceparent: this.traceparent };
  }

  /** What the method gets to see; from now on its signal follows the caller's patience. */
  open(progress?: ProgressSender): IncomingCall {
    const { context, reply, uniqueId } = this.request;
    this.#isOpen = true;
    this.#watchPatience();
    const signalOf = (): AbortSignal => this.signal;
    return {
      context,
      get signal() {
        return signalOf();
      },
      uniqueId,
      isCast: reply === undefined,
      remainingMs: () => this.remainingMs,
      traceparent: this.traceparent,
      report: async (value) => progress?.report(value),
    };
  }

  /** Calls `beat` as often as the caller asked for it, until it answers false or the request is closed (oslo 1.11). */
  beatEvery(beat: () => Promise<boolean>): void {
    const monitorMs = this.request.reply?.monitorMs;
    if (monitorMs === undefined || monitorMs < limits.callMonitorMsMin) return;
    this.#nextBeat = this.#clock.after(monitorMs / 2, () => {
      void beat().then((isHeard) => {
        if (isHeard && !this.#isClosed) this.beatEvery(beat);
      });
    });
  }

  /** While nobody looks at the signal, nobody has to watch the time for it. */
  #watchPatience(): void {
    const { remainingMs } = this;
    if (!this.#isOpen || this.#isClosed || this.#controller === undefined || remainingMs === undefined) return;
    const giveUp = (): void => this.abort('the caller waits no longer');
    if (remainingMs === 0) giveUp();
    else this.#patience ??= this.#clock.after(remainingMs, giveUp);
  }

  abort(why: string): void {
    this.#abortReason ??= new Error(why);
    this.#controller?.abort(this.#abortReason);
  }

  /** Its caller waits no longer, and wants no answer. */
  cancel(): void {
    this.isCancelled = true;
    this.abort('the caller cancelled the call');
  }

  close(): void {
    this.#isClosed = true;
    this.#patience?.cancel();
    this.#nextBeat?.cancel();
  }

  #isClosed = false;
}
