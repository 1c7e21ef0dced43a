import type { Clock, Timer } from '@torcello/platform';
import type { Queue } from '../queue/queue.js';
import type { TargetClient } from './target-client.js';

/** So often is a queue asked after within the time that it may be without use, and never in shorter intervals, in milliseconds. */
const asksPerLife = 4;
const askMsMin = 250;

/** Keeps queues there that end when nobody uses them (`x-expires`) until the move has ended: a declaration is a use. */
export class KeepAlive {
  readonly #client: TargetClient;
  readonly #clock: Clock;
  readonly #queues: readonly Queue[];
  readonly #everyMs: number;
  #timer: Timer | undefined;

  constructor(client: TargetClient, around: { readonly clock: Clock; readonly queues: readonly Queue[] }) {
    this.#client = client;
    this.#clock = around.clock;
    this.#queues = around.queues.filter(({ options }) => options.expiresMs !== undefined);
    const lives = this.#queues.map(({ options }) => options.expiresMs ?? Infinity);
    this.#everyMs = Math.max(askMsMin, Math.min(...lives) / asksPerLife);
  }

  start(): void {
    if (this.#queues.length > 0) this.#timer = this.#clock.after(this.#everyMs, () => void this.#again());
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** The last time: from now on their own time counts. */
  async stop(): Promise<void> {
    this.cancel();
    await this.#ask();
  }

  async #again(): Promise<void> {
    await this.#ask().catch(() => undefined);
    if (this.#timer !== undefined) this.start();
  }

  async #ask(): Promise<void> {
    for (const { name: queue } of this.#queues) {
      await this.#client.call({ name: 'queue.declare', queue, passive: true, arguments: {} }, 'queue.declare-ok');
    }
  }
}
