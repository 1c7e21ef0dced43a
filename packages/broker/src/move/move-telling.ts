import process from 'node:process';
import { systemClock } from '@torcello/platform';
import type { Broker } from '../broker.js';
import type { DataFolder } from '../data-folder.js';
import { readLastStop } from '../last-stop.js';
import { leftBehind } from './left-behind.js';
import type { MoveProgress } from './move.js';
import { moveMemory } from './move-state.js';
import { shownTarget } from './target-address.js';
import type { TargetAddress } from './target-address.js';

/** How often a long move says how far it is, in milliseconds. */
const progressMs = 2_000;

/** What a move says: results to standard output, the rest, for people, to standard error. */
export class MoveTelling {
  readonly #folder: DataFolder;
  readonly #target: TargetAddress;
  #total = 0;
  #said = { atMs: systemClock.monotonicMs(), total: 0 };
  #hasToldLeft = false;

  constructor(folder: DataFolder, target: TargetAddress) {
    this.#folder = folder;
    this.#target = target;
  }

  /** Messages moved up to now. */
  get total(): number {
    return this.#total;
  }
  /** Something is, or may be, on the target. */
  get hasBegun(): boolean {
    const state = moveMemory(this.#folder.path).load();
    return state !== undefined && state.finishedAtMs === undefined;
  }

  print(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  tell(text: string): void {
    process.stderr.write(`torcello-broker: ${text}\n`);
  }

  /** Says what the broker that was stopped had and this one has not, once. */
  left(broker: Broker): void {
    if (!this.#hasToldLeft && !this.hasBegun) {
      for (const line of leftBehind(broker, readLastStop(this.#folder.path) ?? [])) this.tell(line);
    }
    this.#hasToldLeft = true;
  }

  progress({ vhost, queue, moved, of, count }: MoveProgress): void {
    this.#total += count;
    const nowMs = systemClock.monotonicMs();
    const forMs = nowMs - this.#said.atMs;
    if (forMs < progressMs) return;
    const rate = Math.round(((this.#total - this.#said.total) * 1000) / forMs);
    this.#said = { atMs: nowMs, total: this.#total };
    this.tell(`${vhost} ${JSON.stringify(queue)}: ${moved} of ${of} messages, ${rate} a second`);
  }

  blocked(reason: string | undefined): void {
    if (reason === undefined) this.tell('the target takes publishes again');
    else this.tell(`the target takes no publishes: ${reason}; waiting`);
  }

  done(): void {
    const next = 'give your programs that URL, and do not start this broker again';
    this.tell(`everything is at ${shownTarget(this.#target)} now: ${next}`);
  }
}
