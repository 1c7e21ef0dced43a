import { sleep, type Clock } from '@torcello/platform';
import { CliError } from '../cli-error.js';
import { eventsOf, type StreamEvent } from '../client/event-stream.js';
import { isAbort, type HttpClient } from '../client/http.js';
import type { DeploymentView, HistoryEntry, PlanRow } from '../client/views.js';
import { exitCodes } from '../exit-codes.js';

export type WatchEvent =
  | { readonly type: 'history'; readonly entry: HistoryEntry }
  | { readonly type: 'plan'; readonly plan: PlanRow }
  | { readonly type: 'report'; readonly text: string }
  | { readonly type: 'finished'; readonly view: DeploymentView };

/** A stream that broke is opened again until the API was away for so long. */
const awayMsMax = 30_000;
const pauseMsMin = 250;
const pauseMsMax = 3_000;

/**
 * What happens to a deployment, beginning with how its plans stand now, until it has finished. A broken stream goes on
 * after the last event that was seen. A plan may be told again.
 * @throws CliError `unreachable` when the API stayed away; the signal's reason when it was aborted.
 */
export async function* deploymentEvents(
  http: HttpClient,
  deploymentId: string,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<WatchEvent, void, void> {
  const { clock, signal } = options;
  let lastId: string | undefined;
  let pauseMs = pauseMsMin;
  let lastSeenMs = clock.monotonicMs();
  while (true) {
    let isOpen = false;
    try {
      const stream = await openStream(http, deploymentId, { lastId, signal });
      isOpen = true;
      for await (const event of stream) {
        lastId = event.id ?? lastId;
        pauseMs = pauseMsMin;
        const told = readEvent(event);
        if (told === undefined) continue;
        yield told;
        if (told.type === 'finished') return;
      }
    } catch (error) {
      if (isAbort(error) || signal?.aborted === true) throw error;
      if (!isAway(error) || (!isOpen && clock.monotonicMs() - lastSeenMs > awayMsMax)) throw error;
    }
    // A stream may have been silent for long, and yet the API was there until now.
    if (isOpen) lastSeenMs = clock.monotonicMs();
    await sleep(clock, pauseMs, signal);
    pauseMs = Math.min(pauseMs * 2, pauseMsMax);
  }
}

async function openStream(
  http: HttpClient,
  deploymentId: string,
  options: { readonly lastId: string | undefined; readonly signal: AbortSignal | undefined },
): Promise<AsyncIterable<StreamEvent>> {
  const response = await http.send(`/v1/deployments/${encodeURIComponent(deploymentId)}/events`, {
    headers: {
      accept: 'text/event-stream',
      ...(options.lastId === undefined ? {} : { 'last-event-id': options.lastId }),
    },
    signal: options.signal,
  });
  return eventsOf(response.body);
}

/** No answer at all, or a body that broke off: fetch tells that with a `TypeError`. */
function isAway(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof CliError && error.exitCode === exitCodes.unreachable);
}

/** Undefined for an event of a newer API. */
function readEvent({ event, data }: StreamEvent): WatchEvent | undefined {
  switch (event) {
    case 'history':
      return { type: 'history', entry: JSON.parse(data) as HistoryEntry };
    case 'plan':
      return { type: 'plan', plan: JSON.parse(data) as PlanRow };
    case 'report':
      return { type: 'report', text: reportText(data) };
    case 'finished':
      return { type: 'finished', view: JSON.parse(data) as DeploymentView };
    default:
      return undefined;
  }
}

/** A report is an object with a text, or a bare text. */
function reportText(data: string): string {
  const value = JSON.parse(data) as unknown;
  if (typeof value === 'string') return value;
  const { text } = (value ?? {}) as { text?: unknown };
  return typeof text === 'string' ? text : data;
}
