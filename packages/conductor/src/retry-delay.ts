import type { Random } from '@torcello/platform';

const retryDelayMsFirst = 200;
const retryDelayMsMax = 10_000;

/** How long to wait after so many failures in a row (from 1): doubling, and jittered so that nobody comes in step. */
export function retryDelayMs(failures: number, random: Random): number {
  const fullMs = Math.min(retryDelayMsFirst * 2 ** Math.min(failures - 1, 30), retryDelayMsMax);
  return fullMs * (0.5 + 0.5 * random.fraction());
}
