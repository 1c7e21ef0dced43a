export type OutcomeKind = 'accept' | 'release' | 'reject';

/**
 * Hands outcomes to the engine so that those of one turn are of one kind: the engine (rhea 3.0.5) writes a second outcome
 * of a turn as if it were equal to the first one, and a released message would be accepted.
 */
export class Outcomes {
  readonly #waiting: { readonly kind: OutcomeKind; readonly write: () => void }[] = [];
  /** What this turn writes. */
  #kind: OutcomeKind | undefined;
  #onIdle: (() => void)[] = [];

  settle(kind: OutcomeKind, write: () => void): void {
    if (this.#waiting.length > 0 || (this.#kind !== undefined && this.#kind !== kind)) {
      this.#waiting.push({ kind, write });
    } else this.#write(kind, write);
  }

  /** Resolves when everything has been handed over. */
  idle(): Promise<void> {
    if (this.#kind === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #write(kind: OutcomeKind, write: () => void): void {
    write();
    if (this.#kind !== undefined) return;
    this.#kind = kind;
    // The engine has asked for its turn before, and takes it before.
    process.nextTick(() => this.#onTurn());
  }

  #onTurn(): void {
    this.#kind = undefined;
    const [next] = this.#waiting;
    if (next === undefined) return this.#tellIdle();
    const end = this.#waiting.findIndex(({ kind }) => kind !== next.kind);
    for (const { kind, write } of this.#waiting.splice(0, end < 0 ? Infinity : end)) this.#write(kind, write);
  }

  #tellIdle(): void {
    const listeners = this.#onIdle;
    this.#onIdle = [];
    for (const listener of listeners) listener();
  }
}
