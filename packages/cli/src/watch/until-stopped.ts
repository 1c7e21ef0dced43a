import type { CliContext } from '../context.js';

/** How a wait was cut short. */
export type CutShort = 'timedOut' | 'interrupted';

/**
 * The work's result, or how it was cut short: by Ctrl-C, or by the time. The work hears it by its signal.
 * @throws whatever the work throws for a reason of its own.
 */
export async function untilStopped<Result>(
  context: Pick<CliContext, 'clock' | 'signals'>,
  timeoutMs: number | undefined,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<{ readonly result?: Result; readonly end: 'done' | CutShort }> {
  const ending = new AbortController();
  let why: CutShort = 'interrupted';
  const unlisten = context.signals.listen(() => ending.abort());
  const timer =
    timeoutMs === undefined
      ? undefined
      : context.clock.after(timeoutMs, () => {
          why = 'timedOut';
          ending.abort();
        });
  try {
    return { result: await work(ending.signal), end: 'done' };
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    return { end: why };
  } finally {
    timer?.cancel();
    unlisten();
  }
}
