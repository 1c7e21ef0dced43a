import { MemoryStore } from '@torcello/broker';
import type { MemoryDisk, MessagePlace, MessageStore, StoreOperation } from '@torcello/broker';
import type { Random } from '@torcello/platform';
import type { Life } from './world-clock.js';

const commitMsMax = 8;

/** The broker's store on a disk that takes its time. A commit that the broker did not live to see may be there or not. */
export class SimulatedStore implements MessageStore {
  readonly isDurable = true;
  readonly #memory: MemoryStore;
  readonly #life: Life;
  readonly #random: Random;

  constructor(disk: MemoryDisk, life: Life, random: Random) {
    this.#memory = new MemoryStore(disk);
    this.#life = life;
    this.#random = random;
  }

  async commit(operations: readonly StoreOperation[]): Promise<void> {
    let isDone = false;
    this.#life.onDeath(() => {
      if (!isDone && this.#random.fraction() < 0.5) void this.#memory.commit(operations);
    });
    await new Promise<void>((resolve) => this.#life.clock.after(this.#random.fraction() * commitMsMax, resolve));
    isDone = true;
    await this.#memory.commit(operations);
  }

  read(place: MessagePlace): Buffer | undefined {
    return this.#memory.read(place);
  }

  entities(): ReturnType<MessageStore['entities']> {
    return this.#memory.entities();
  }

  messages(): ReturnType<MessageStore['messages']> {
    return this.#memory.messages();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
