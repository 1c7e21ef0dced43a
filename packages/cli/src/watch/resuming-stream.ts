import { sleep, type Clock } from '@torcello/platform';
import { CliError } from '../cli-error.js';
import { eventsOf, type StreamEvent } from '../client/event-stream.js';
import { isAbort, type HttpClient } from '../client/http.js';
import { exitCodes } from '../exit-codes.js';

/** A first stream is tried to open until the API was away for so long; one that broke, for longer. */
const firstAwayMsMax = 30_000;
const awayMsMax = 600_000;
const pauseMsMin = 250;
const pauseMsMax = 3_000;

/**
 * The events of a route that streams, and `away` once for every time that the stream broke: it is opened again and goes
 * on after the last event that was seen. It never ends by itself, because only its reader knows which event is the last.
 * @throws CliError `unreachable` when the API stayed away; the signal's reason when it was aborted.
 */
export async function* resumingStream(
  http: HttpClient,
  path: string,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<StreamEvent | 'away', void, void> {
  const { clock, signal } = options;
  let lastId: string | undefined;
  let pauseMs = pauseMsMin;
  let lastSeenMs = clock.monotonicMs();
  let wasOpen = false;
  while (true) {
    let isOpen = false;
    try {
      const stream = await openStream(http, path, { lastId, signal });
      isOpen = true;
      for await (const event of stream) {
        lastId = event.id ?? lastId;
        pauseMs = pauseMsMin;
        yield event;
      }
    } catch (error) {
      if (isAbort(error) || signal?.aborted === true) throw error;
      const limitMs = wasOpen ? awayMsMax : firstAwayMsMax;
      if (!isAway(error) || (!isOpen && clock.monotonicMs() - lastSeenMs > limitMs)) throw error;
    }
    // A stream may have been silent for long, and yet the API was there until now.
    if (isOpen) {
      lastSeenMs = clock.monotonicMs();
      wasOpen = true;
      yield 'away';
    }
    await sleep(clock, pauseMs, signal);
    pauseMs = Math.min(pauseMs * 2, pauseMsMax);
  }
}

async function openStream(
  http: HttpClient,
  path: string,
  options: { readonly lastId: string | undefined; readonly signal: AbortSignal | undefined },
): Promise<AsyncIterable<StreamEvent>> {
  const response = await http.send(path, {
    headers: {
      accept: 'text/event-stream',
      ...(options.lastId === undefined ? {} : { 'last-event-id': options.lastId }),
    },
    signal: options.signal,
  });
  if (response.headers.get('content-type')?.startsWith('application/json') !== true) return eventsOf(response.body);
  await response.body?.cancel();
  throw new CliError('no_stream', `the API at ${http.address.url} does not stream ${path}`, {
    exitCode: exitCodes.allFailed,
    cure: 'leave out --follow or --watch, or take an API of this release',
  });
}

/** No answer at all, or a body that broke off: fetch tells that with a `TypeError`. */
function isAway(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof CliError && error.exitCode === exitCodes.unreachable);
}
