import type { Clock } from '@torcello/platform';
import http from 'node:http';
import https from 'node:https';
import type { ServerTime } from './server-clock.js';

const timeoutMs = 5_000;
/** `Date` has whole seconds (RFC 9110 §6.6.1). */
const dateGrainMs = 1_000;

/**
 * The time by the `Date` header of an API's `/healthz`. It was written between request and answer, so the error is half
 * a second and half the round trip. Rejects when there is no answer, or none with a date.
 */
export function askHttpDate(api: string, clock: Clock, signal: AbortSignal): Promise<ServerTime> {
  const url = new URL('healthz', `${api.replace(/\/+$/, '')}/`);
  const askedAtMs = clock.monotonicMs();
  return new Promise((resolve, reject) => {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const { request } = url.protocol === 'https:' ? https : http;
    const asking = request(url, { signal: bounded, agent: false }, (response) => {
      response.resume();
      const dateMs = Date.parse(response.headers.date ?? '');
      if (Number.isNaN(dateMs)) return reject(new Error(`${url.origin} tells no date`));
      const errorMs = (dateGrainMs + clock.monotonicMs() - askedAtMs) / 2;
      resolve({ nowMs: dateMs + errorMs, errorMs });
    });
    asking.once('error', reject);
    asking.end();
  });
}
