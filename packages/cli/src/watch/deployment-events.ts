import type { Clock } from '@torcello/platform';
import type { StreamEvent } from '../client/event-stream.js';
import type { HttpClient } from '../client/http.js';
import type { DeploymentView, HistoryEntry, PlanRow } from '../client/views.js';
import { resumingStream } from './resuming-stream.js';

export type WatchEvent =
  | { readonly type: 'history'; readonly entry: HistoryEntry }
  | { readonly type: 'plan'; readonly plan: PlanRow }
  | { readonly type: 'report'; readonly text: string }
  /** The stream broke; it is opened again. Told once for every time that the API was away. */
  | { readonly type: 'away' }
  | { readonly type: 'finished'; readonly view: DeploymentView };

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
  const path = `/v1/deployments/${encodeURIComponent(deploymentId)}/events`;
  for await (const event of resumingStream(http, path, options)) {
    const told: WatchEvent | undefined = event === 'away' ? { type: 'away' } : readEvent(event);
    if (told === undefined) continue;
    yield told;
    if (told.type === 'finished') return;
  }
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
