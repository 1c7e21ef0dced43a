import type { Clock, Timer } from '@torcello/platform';

/**
 * Keeps a connection known to be alive (§2.2.6): says something when nothing was said for half an interval, and calls
 * `onSilence` when nothing was heard for two. Any traffic counts. A stalled event loop is no silence: what waits in the
 * socket is read before the verdict.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #timer: Timer | undefined;
  #heardMs: number;
  #bytesRead = 0;
  #bytesWritten = 0;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#heardMs = options.clock.monotonicMs();
    this.#plan();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #plan(): void {
    this.#timer = this.#options.clock.after(this.#options.intervalMs / 2, () => this.#tick());
  }

  #tick(): void {
    const { traffic, beat } = this.#options;
    this.#plan();
    if (traffic.bytesWritten === this.#bytesWritten) beat();
    this.#bytesWritten = traffic.bytesWritten;
    if (this.#hasHeard() || !this.#isSilent()) return;
    setImmediate(() => {
      if (this.#timer === undefined || this.#hasHeard() || !this.#isSilent()) return;
      this.stop();
      this.#options.onSilence();
    });
  }

  #hasHeard(): boolean {
    const { traffic, clock } = this.#options;
    if (traffic.bytesRead === this.#bytesRead) return false;
    this.#bytesRead = traffic.bytesRead;
    this.#heardMs = clock.monotonicMs();
    return true;
  }

  #isSilent(): boolean {
    return this.#options.clock.monotonicMs() - this.#heardMs >= 2 * this.#options.intervalMs;
  }
}

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly traffic: { readonly bytesRead: number; readonly bytesWritten: number };
  readonly beat: () => void;
  readonly onSilence: () => void;
}
