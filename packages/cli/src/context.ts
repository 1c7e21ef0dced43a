import { systemClock, type Clock, type Random } from '@torcello/platform';

/** The world of one run of the command line; tests hand in their own. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths start from. */
  readonly cwd: string;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetch: typeof globalThis.fetch;
  readonly signals: SignalSource;
}

export interface TextSink {
  write(text: string): unknown;
  /** True on a terminal: tables are redrawn in place and coloured. */
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** Where the wish to stop comes from. While nobody listens, a signal ends the process as it always does. */
export interface SignalSource {
  /** Calls `listener` for every signal until the returned function is called. */
  listen(listener: (signal: StopSignal) => void): () => void;
}

const stopSignals: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const ofThisProcess: SignalSource = {
  listen: (listener) => {
    for (const signal of stopSignals) process.on(signal, listener);
    return () => {
      for (const signal of stopSignals) process.off(signal, listener);
    };
  },
};

/** Two of the same signal within this time are one wish. */
const sameWishMsMax = 500;

/**
 * One wish to stop, heard once: a terminal sends Ctrl-C to every process of the foreground, and `npm` and `npx` pass
 * theirs on, so that a program below them gets each twice.
 */
export function heardOnce(source: SignalSource, clock: Pick<Clock, 'monotonicMs'>): SignalSource {
  return {
    listen: (listener) => {
      const lastMs = new Map<StopSignal, number>();
      return source.listen((signal) => {
        const nowMs = clock.monotonicMs();
        const isEcho = nowMs - (lastMs.get(signal) ?? -Infinity) < sameWishMsMax;
        if (isEcho) return;
        lastMs.set(signal, nowMs);
        listener(signal);
      });
    },
  };
}

/** The signals of this process. */
export const processSignals: SignalSource = heardOnce(ofThisProcess, systemClock);
