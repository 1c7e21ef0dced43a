/**
 * Waits until `look` answers something, giving the event loop a turn in between. For effects that travel through
 * queues in memory: nobody sleeps, only turns pass; the deadline is for what never happens.
 */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadlineMs = performance.now() + 60_000;
  while (performance.now() < deadlineMs) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`did not happen: ${what}`);
}
