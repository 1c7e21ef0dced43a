/** ISO 8601 in UTC with milliseconds: the form of our own routes. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** `YYYY-MM-DDTHH:MM:SS` without zone: the form of Murano's routes. */
export function muranoTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}
