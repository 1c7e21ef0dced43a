import { AsyncLocalStorage } from 'node:async_hooks';

/** One transaction that everything which is called inside of it takes part in. */
export interface Held {
  /** What happens when it stands. */
  readonly actions: (() => void)[];
  /** Inside, too, one piece of work follows another. */
  last: Promise<void>;
  isOver: boolean;
}

/**
 * Which transaction the present chain of calls is inside of. The driver gives its connection to whoever is inside, and makes a
 * savepoint of a transaction that begins there.
 */
export class HeldConnection {
  readonly #calls = new AsyncLocalStorage<Held>();

  /** Undefined outside, and for what goes on behind its end. */
  get current(): Held | undefined {
    const held = this.#calls.getStore();
    return held === undefined || held.isOver ? undefined : held;
  }

  async inside<Answer>(held: Held, work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await this.#calls.run(held, work);
    } finally {
      held.isOver = true;
    }
  }
}
