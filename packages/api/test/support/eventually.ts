/**
 * Waits until `look` answers something, giving the event loop a turn in between. For effects that travel through
 * queues in memory: no time passes, only turns.
 */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  for (let turn = 0; turn < 5_000; turn++) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`did not happen: ${what}`);
}
