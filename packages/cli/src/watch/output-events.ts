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
  /** A character whose bytes came in two pieces stands whole in the second. */
  readonly text: string;
}

/** The same as the API sends it: the bytes in Base64. */
interface SentChunk extends Omit<OutputChunk, 'text'> {
  readonly data: string;
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
  const followed = new Map<string, Followed>();
  const cuts = new Set<string>();
  for await (const event of resumingStream(http, path, options)) {
    if (event === 'away') yield { type: 'away' };
    else if (event.event === 'chunk') yield* fresh(JSON.parse(event.data) as SentChunk, followed);
    else if (event.event === 'cut') yield* firstCut(JSON.parse(event.data) as OutputCut, cuts);
    else if (event.event === 'finished') return;
  }
}

/** A cut that was told before the connection was lost may come again. */
function* firstCut(cut: OutputCut, told: Set<string>): Generator<OutputEvent, void, void> {
  const key = `${cut.planId}/${cut.step}`;
  if (told.has(key)) return;
  told.add(key);
  yield { type: 'cut', cut };
}

/** How far the output of one step was shown, and the beginning of a character that its last piece ended in. */
interface Followed {
  end: number;
  readonly decoder: InstanceType<typeof TextDecoder>;
}

/** The part of a chunk that was not seen before. */
function* fresh(sent: SentChunk, all: Map<string, Followed>): Generator<OutputEvent, void, void> {
  const { data, ...place } = sent;
  const key = `${sent.planId}/${sent.step}`;
  const followed = all.get(key) ?? { end: 0, decoder: new TextDecoder() };
  all.set(key, followed);
  const bytes = Buffer.from(data, 'base64');
  const seen = followed.end;
  const end = sent.offset + bytes.length;
  if (end <= seen) return;
  followed.end = end;
  const offset = Math.max(sent.offset, seen);
  const text = followed.decoder.decode(bytes.subarray(offset - sent.offset), { stream: true });
  const chunk = { ...place, offset, text };
  if (sent.offset > seen) yield { type: 'gap', chunk, bytes: sent.offset - seen };
  yield { type: 'output', chunk };
}
