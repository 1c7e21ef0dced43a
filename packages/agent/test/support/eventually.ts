import { readFile } from 'node:fs/promises';

/** Looks until it is so: what another process does leaves no signal here. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = AbortSignal.timeout(30_000);
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (deadline.aborted) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const textOf = (file: string): Promise<string | undefined> => readFile(file, 'utf8').catch(() => undefined);

/** True while a process of this id does something. */
export async function isRunning(pid: number): Promise<boolean> {
  const stat = await textOf(`/proc/${pid}/stat`);
  return stat !== undefined && !/\) [ZX] /.test(stat);
}
