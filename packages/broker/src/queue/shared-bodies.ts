import { recoveredChange } from '../store/commit-log.js';
import type { ChangeOwner, CommitLog, PendingChange, Refusal } from '../store/commit-log.js';
import { StoreDamage } from '../store/message-store.js';
import type { MessagePlace } from '../store/message-store.js';
import type { Message } from './message.js';
import type { Queue } from './queue.js';

/** Where shared bodies lie in the store: no queue has this number. */
export const sharedBodiesNumber = 0;
/** A smaller body is written for each queue: its own place would cost more than it saves. */
const sharedBytesMin = 4096;

interface HeldBody {
  /** Messages in queues that are made of it. */
  count: number;
  readonly stored: PendingChange;
}

/**
 * Bodies of messages that several durable queues keep: each lies in the store once, for as long as one of the queues
 * has its message. It goes there in the same transaction as the messages, and away with the last of them.
 */
export class SharedBodies implements ChangeOwner {
  readonly #log: CommitLog;
  readonly #held = new Map<number, HeldBody>();
  #numberLast = 0;

  constructor(log: CommitLog) {
    this.#log = log;
  }

  /** Bodies that are held now. */
  get size(): number {
    return this.#held.size;
  }

  /** Lets the queues that are about to take a message share its body, where that is worth it. */
  share(message: Message, queues: readonly Queue[]): void {
    if (queues.length < 2 || message.body.length < sharedBytesMin) return;
    if (queues.filter((queue) => queue.keeps(message)).length > 1) message.shareBody(++this.#numberLast);
  }

  /** One more queue stores a message with this body; the first one takes the body to the store. */
  hold(number: number, value: Buffer, refusal: Refusal | undefined): void {
    const there = this.#held.get(number);
    if (there !== undefined) {
      there.count++;
      return;
    }
    const owner = refusal === undefined ? undefined : this;
    const stored = this.#log.append({ kind: 'put-message', place: placeOf(number), value }, owner, refusal);
    this.#held.set(number, { count: 1, stored });
  }

  /** One queue less has a message with this body. */
  release(number: number): void {
    const held = this.#held.get(number);
    if (held === undefined || --held.count > 0) return;
    this.#held.delete(number);
    if (!this.#log.takeBack(held.stored)) this.#delete(number);
  }

  /** A body that was found in the store. */
  recover(number: number): void {
    this.#numberLast = Math.max(this.#numberLast, number);
    this.#held.set(number, { count: 0, stored: recoveredChange });
  }

  /** A message that was found in the store, and has this body. @throws StoreDamage when it is not there. */
  recoverUse(number: number): void {
    const held = this.#held.get(number);
    if (held === undefined) throw new StoreDamage(`shared body ${number}`, 'it is not there');
    held.count++;
  }

  /** To be called once after the last message was found. What nobody has does not stay. */
  recoveryEnded(): void {
    for (const [number, { count }] of this.#held) {
      if (count > 0) continue;
      this.#held.delete(number);
      this.#delete(number);
    }
  }

  /** The messages of the same transaction were refused as well. */
  changesRefused(places: readonly MessagePlace[]): void {
    for (const { position } of places) this.#held.delete(position);
  }

  #delete(number: number): void {
    this.#log.append({ kind: 'delete-message', place: placeOf(number) });
  }
}

/** Where the body of that number lies in the store. */
export function placeOf(number: number): MessagePlace {
  return { queue: sharedBodiesNumber, position: number };
}
