import { readFileSync } from 'node:fs';
import process from 'node:process';

const pageBytes = 4096;

/**
 * Memory that the process really needs, in bytes: what is resident without the pages of files, which LMDB maps and the
 * system takes back when it likes. Where the system does not tell them apart, all that is resident.
 */
export function neededMemoryBytes(): number {
  try {
    const [, resident, shared] = readFileSync('/proc/self/statm', 'utf8').split(' ');
    return (Number(resident) - Number(shared)) * pageBytes;
  } catch {
    return process.memoryUsage.rss();
  }
}
