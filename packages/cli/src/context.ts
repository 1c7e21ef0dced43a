import type { Clock, Random } from '@torcello/platform';

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

/** The signals of this process. */
export const processSignals: SignalSource = {
  listen: (listener) => {
    for (const signal of stopSignals) process.on(signal, listener);
    return () => {
      for (const signal of stopSignals) process.off(signal, listener);
    };
  },
};
