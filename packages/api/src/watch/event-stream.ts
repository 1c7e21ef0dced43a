import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '@torcello/platform';
import type { PlanView } from '../deployments/view.js';
import { apiLimits } from '../limits.js';
import type { HistoryEntry } from '../notices.js';
import { isoTime } from '../times.js';
import type { WatchEvent, WatchHub } from './hub.js';

/** So often a comment tells proxies and clients that the stream lives. */
const keepAliveMs = 15_000;

export interface EventStreamOptions {
  readonly hub: WatchHub;
  readonly clock: Clock;
  readonly deploymentId: string;
  readonly response: ServerResponse;
  /** Index of the last event that the client has; -1 for none. */
  readonly lastN: number;
}

/**
 * One watch as server-sent events (HTML Living Standard, 9.2). First what is, then what comes; a history event carries
 * its index as id, so that a client that was cut off goes on behind it. A client that reads too slowly is cut off.
 */
export class EventStream {
  readonly #options: EventStreamOptions;
  readonly #unwatch: () => void;
  #early: WatchEvent[] | undefined = [];
  #lastN: number;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    this.#lastN = options.lastN;
    // Watching begins before the first read: what happens in between waits in `#early`.
    this.#unwatch = options.hub.watch(options.deploymentId, (events) => this.#take(events));
    options.response.on('close', () => this.end());
  }

  /** Sends the head and what was read of the present, then goes on with what has come meanwhile. */
  open(present: {
    readonly plans: readonly PlanView[];
    readonly history: readonly HistoryEntry[];
    readonly finished: unknown;
  }): void {
    const { response } = this.#options;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    for (const plan of present.plans) this.#write('plan', plan);
    for (const entry of present.history) this.#writeHistory(entry);
    if (present.finished !== undefined) {
      this.#write('finished', present.finished);
      return this.end();
    }
    const early = this.#early ?? [];
    this.#early = undefined;
    this.#take(early);
    this.#keepAlive();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unwatch();
    this.#timer?.cancel();
    this.#options.response.end();
  }

  #take(events: readonly WatchEvent[]): void {
    if (this.#early !== undefined) {
      this.#early.push(...events);
      return;
    }
    for (const event of events) this.#tell(event);
  }

  #tell(event: WatchEvent): void {
    if (this.#isOver) return;
    if (event.type === 'history') this.#writeHistory(event.entry);
    if (event.type === 'plan') this.#write('plan', event.plan);
    if (event.type === 'report') this.#write('report', event.report);
    if (event.type === 'finished') {
      this.#write('finished', event.deployment);
      this.end();
    }
  }

  #writeHistory(entry: HistoryEntry): void {
    if (entry.n <= this.#lastN) return;
    this.#lastN = entry.n;
    this.#write('history', { n: entry.n, at: isoTime(entry.atMs), event: entry.event }, entry.n);
  }

  #write(name: string, data: unknown, id?: number): void {
    const { response } = this.#options;
    if (this.#isOver) return;
    response.write(`event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
    if (response.writableLength > apiLimits.watcherBufferBytesMax.value && this.#early === undefined)
      response.destroy();
  }

  #keepAlive(): void {
    if (this.#isOver) return;
    this.#timer = this.#options.clock.after(keepAliveMs, () => {
      this.#options.response.write(': alive\n\n');
      this.#keepAlive();
    });
  }
}
