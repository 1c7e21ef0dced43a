import { createHash } from 'node:crypto';
import type { WorldClock } from './world-clock.js';

export type Policy = 'rerun' | 'check' | 'fail';

/** What the steps themselves saw, outside the system, and everything that happened, in one log. */
export class Ledger {
  readonly lines: string[] = [];
  readonly violations: string[] = [];
  readonly #clock: WorldClock;
  readonly #starts = new Map<string, { readonly boot: string; isDone: boolean }>();

  constructor(clock: WorldClock) {
    this.#clock = clock;
  }

  note(line: string): void {
    this.lines.push(`${this.#clock.monotonicMs.toFixed(1)} ${line}`);
  }

  violation(text: string): void {
    this.note(`VIOLATION ${text}`);
    this.violations.push(text);
  }

  /** A step of a plan really begins on a machine in this boot. */
  started(key: string, boot: string, policy: Policy): void {
    const before = this.#starts.get(key);
    this.note(`start ${key} in ${boot}${before === undefined ? '' : ' AGAIN'}`);
    this.#starts.set(key, { boot, isDone: false });
    if (before === undefined) return;
    const isAllowed = before.boot !== boot && (policy === 'rerun' || (policy === 'check' && !before.isDone));
    if (!isAllowed) this.violation(`doubled: ${key} began again in ${boot}, before in ${before.boot}`);
  }

  /** It has done its work. */
  done(key: string): void {
    const start = this.#starts.get(key);
    if (start !== undefined) start.isDone = true;
    this.note(`done ${key}`);
  }

  isDone(key: string): boolean {
    return this.#starts.get(key)?.isDone === true;
  }

  hasStarted(planId: string): boolean {
    return [...this.#starts.keys()].some((key) => key.startsWith(`${planId}/`));
  }

  get hash(): string {
    return createHash('sha256').update(this.lines.join('\n')).digest('hex');
  }
}
