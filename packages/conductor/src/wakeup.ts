import type { Clock } from '@torcello/platform';

/** A bell for one waiter. Rung while nobody waits, it ends the next wait at once. */
export class Wakeup {
  #isRung = false;
  #ring: (() => void) | undefined;

  ring(): void {
    this.#isRung = true;
    this.#ring?.();
  }

  /** Resolves when the bell rings, `atMostMs` are over or the signal is aborted, whichever is first. Never rejects. */
  async wait(clock: Clock, atMostMs: number, signal?: AbortSignal): Promise<void> {
    if (!this.#isRung && signal?.aborted !== true && atMostMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = Number.isFinite(atMostMs) ? clock.after(atMostMs, () => end()) : undefined;
        const end = (): void => {
          timer?.cancel();
          signal?.removeEventListener('abort', end);
          resolve();
        };
        this.#ring = end;
        signal?.addEventListener('abort', end, { once: true });
      });
    }
    this.#ring = undefined;
    this.#isRung = false;
  }
}
