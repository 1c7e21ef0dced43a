/** Time as the program sees it. Nothing else in the house may ask the machine what time it is. */
export interface Clock {
  /** Wall-clock instant in milliseconds since 1970. For display and for instants that cross a process. */
  now(): number;
  /** Milliseconds since an arbitrary start, never stepping back. For durations, timeouts and leases. */
  monotonicMs(): number;
  /**
   * Calls `action` once after `delayMs` (at least 0), unless the timer is cancelled first. Delays above the platform's
   * limit of 2^31-1 ms fire in several hops, so that "in forty days" means forty days.
   */
  after(delayMs: number, action: () => void): Timer;
}

export interface Timer {
  /** Safe to call twice and after the timer fired. */
  cancel(): void;
}

const hopMsMax = 2 ** 31 - 1;

/** The machine's clock. Timers keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, action) => (delayMs <= hopMsMax ? new SingleTimer(delayMs, action) : longTimer(delayMs, action)),
};

class SingleTimer implements Timer {
  readonly #handle: NodeJS.Timeout;

  constructor(delayMs: number, action: () => void) {
    this.#handle = setTimeout(action, Math.max(delayMs, 0));
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }
}

function longTimer(delayMs: number, action: () => void): Timer {
  let handle: NodeJS.Timeout;
  const arm = (leftMs: number): void => {
    const hopMs = Math.min(leftMs, hopMsMax);
    handle = setTimeout(() => (leftMs > hopMs ? arm(leftMs - hopMs) : action()), hopMs);
  };
  arm(delayMs);
  return { cancel: () => clearTimeout(handle) };
}

/**
 * Resolves after `delayMs`; rejects with the signal's reason when it is aborted first.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
