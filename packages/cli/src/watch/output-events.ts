import type { Clock } from '@torcello/platform';
import type { HttpClient } from '../client/http.js';
import { resumingStream } from './resuming-stream.js';

/** A piece of what a step wrote. Offsets are bytes of the step's output. */
export interface OutputChunk {
  readonly planId: string;
  readonly machine: string;
  readonly stage: string;
  readonly step: string;
  readonly offset: number;
  readonly text: string;
}

/** Where the output of a step ends although the step wrote more. */
export interface OutputCut {
  readonly planId: string;
  readonly machine: string;
  readonly step: string;
  readonly totalBytes: number;
  readonly sha256?: string | null;
}

export type OutputEvent =
  | { readonly type: 'output'; readonly chunk: OutputChunk }
  | { readonly type: 'cut'; readonly cut: OutputCut }
  /** Bytes that should have come in between and did not. */
  | { readonly type: 'gap'; readonly chunk: OutputChunk; readonly bytes: number }
  | { readonly type: 'away' };

export interface OutputFilter {
  readonly machine?: string | undefined;
  readonly step?: string | undefined;
}

/** What the steps of a deployment write, as they write it, without repeats, until the deployment has finished. */
export async function* outputEvents(
  http: HttpClient,
  deploymentId: string,
  options: OutputFilter & { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<OutputEvent, void, void> {
  const search = new URLSearchParams({ follow: '1' });
  if (options.machine !== undefined) search.set('machine', options.machine);
  if (options.step !== undefined) search.set('step', options.step);
  const path = `/v1/deployments/${encodeURIComponent(deploymentId)}/output?${search.toString()}`;
  const ends = new Map<string, number>();
  for await (const event of resumingStream(http, path, options)) {
    if (event === 'away') yield { type: 'away' };
    else if (event.event === 'output') yield* fresh(JSON.parse(event.data) as OutputChunk, ends);
    else if (event.event === 'cut') yield { type: 'cut', cut: JSON.parse(event.data) as OutputCut };
    else if (event.event === 'finished') return;
  }
}

/** The part of a chunk that was not seen before; `ends` holds where each step's output stood. */
function* fresh(chunk: OutputChunk, ends: Map<string, number>): Generator<OutputEvent, void, void> {
  const key = `${chunk.planId}/${chunk.step}`;
  const bytes = Buffer.from(chunk.text);
  const seen = ends.get(key) ?? 0;
  const end = chunk.offset + bytes.length;
  if (end <= seen) return;
  ends.set(key, end);
  if (chunk.offset > seen) yield { type: 'gap', chunk, bytes: chunk.offset - seen };
  if (chunk.offset >= seen) yield { type: 'output', chunk };
  else
    yield { type: 'output', chunk: { ...chunk, offset: seen, text: bytes.subarray(seen - chunk.offset).toString() } };
}
