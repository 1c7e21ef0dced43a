/** ISO 8601 in UTC with milliseconds: the form of our own routes. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** `YYYY-MM-DDTHH:MM:SS` without zone: the form of Murano's routes. */
export function muranoTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}

const unitsMs: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
];

/** A duration as people write it and `parseDuration` reads it: `30d`, `1h30m`. */
export function durationText(ms: number): string {
  let left = ms;
  const parts = unitsMs.map(([unit, unitMs]) => {
    const count = Math.floor(left / unitMs);
    left -= count * unitMs;
    return count === 0 ? '' : `${count}${unit}`;
  });
  return parts.join('') || '0s';
}
