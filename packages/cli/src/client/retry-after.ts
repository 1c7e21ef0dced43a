/** A busy API that asks for less is left alone for so long. */
const pauseMsMin = 100;

/**
 * How long the API asks to be left alone: the `Retry-After` of an answer 503 (RFC 9110 §10.2.3), in seconds or as an
 * instant. Undefined when it does not say.
 */
export function retryAfterMs(response: Response, nowMs: number): number | undefined {
  const text = response.headers.get('retry-after')?.trim();
  if (response.status !== 503 || text === undefined || text === '') return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.max(ms, pauseMsMin);
}
