import type { Clock } from '@torcello/platform';

/** A doorbell for one loop. A call that comes while nobody waits is remembered, so that none is missed. */
export class Wake {
  #isCalled = false;
  #listener: (() => void) | undefined;

  call(): void {
    this.#isCalled = true;
    this.#listener?.();
  }

  /** Resolves at the next call (or the one not yet heard), after `timeoutMs`, or when the signal aborts. */
  async wait(options: {
    readonly clock: Clock;
    readonly signal: AbortSignal;
    readonly timeoutMs?: number;
  }): Promise<void> {
    const { clock, signal, timeoutMs } = options;
    if (!this.#isCalled && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = timeoutMs === undefined ? undefined : clock.after(timeoutMs, done);
        const listener = done;
        function done(): void {
          timer?.cancel();
          signal.removeEventListener('abort', listener);
          resolve();
        }
        signal.addEventListener('abort', listener, { once: true });
        this.#listener = listener;
      });
      this.#listener = undefined;
    }
    this.#isCalled = false;
  }
}
