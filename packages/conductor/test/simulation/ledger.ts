import { createHash } from 'node:crypto';
import type { Clock } from '@torcello/platform';

/** What the steps themselves saw, outside the system, and everything that happened, in one log. */
export class Ledger {
  readonly lines: string[] = [];
  readonly violations: string[] = [];
  readonly #clock: Clock;
  readonly #starts = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(line: string): void {
    this.lines.push(`${this.#clock.monotonicMs().toFixed(0)} ${line}`);
  }

  violation(text: string): void {
    this.note(`VIOLATION ${text}`);
    this.violations.push(text);
  }

  /** A step begins to run. `mayRepeat`: its policy lets it run again after it was cut off. */
  started(planId: string, step: string, mayRepeat: boolean): void {
    const key = `${planId} ${step}`;
    const times = (this.#starts.get(key) ?? 0) + 1;
    this.#starts.set(key, times);
    this.note(`step ${key} starts, ${times}`);
    if (times > 1 && !mayRepeat) this.violation(`doubled: ${key} started ${times} times`);
  }

  hasStarted(planId: string): boolean {
    return [...this.#starts.keys()].some((key) => key.startsWith(`${planId} `));
  }

  get hash(): string {
    return createHash('sha256').update(this.lines.join('\n')).digest('hex');
  }
}
