/** Something that has work left for another turn of the event loop. */
export interface TurnTaker {
  takeTurn(): void;
}

/**
 * Long work goes on here in slices, one a turn of the event loop and in the order in which it came: whatever else comes
 * in is handled in between.
 */
export class Turns {
  #waiting: TurnTaker[] = [];

  /** Nobody waits. */
  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  add(taker: TurnTaker): void {
    if (this.#waiting.push(taker) === 1) this.#arm();
  }

  #arm(): void {
    setImmediate(() => {
      const taker = this.#waiting.shift();
      if (this.#waiting.length > 0) this.#arm();
      taker?.takeTurn();
    });
  }
}
