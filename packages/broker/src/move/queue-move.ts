import { encodeProperties } from '@torcello/amqp091';
import type { BasicProperties } from '@torcello/amqp091';
import type { Clock } from '@torcello/platform';
import type { Broker } from '../broker.js';
import type { Queue } from '../queue/queue.js';
import type { QueueEntry } from '../queue/ready-list.js';
import type { TargetClient } from './target-client.js';
import type { Ways } from './ways.js';

/**
 * Messages that are on their way at once, and bytes of their bodies; one message may pass the bytes. A move that is killed
 * may hand over that many of one queue twice.
 */
export const underwayMax = 10_000;
const underwayBytesMax = 16 * 1024 * 1024;

/** What the move of one queue needs around it. */
export interface QueueMoveAround {
  readonly broker: Broker;
  readonly client: TargetClient;
  /** Real time on the scale of the broker's clock, which may stand still. */
  readonly clock: Clock;
  readonly onProgress: (moved: number) => void;
}

interface Underway {
  readonly entry: QueueEntry;
  isConfirmed: boolean;
}

/** Hands over the messages of one queue in order, and forgets each when the target has confirmed it and all before it. */
export class QueueMove {
  readonly queue: Queue;
  readonly #around: QueueMoveAround;
  readonly #underway = new Map<number, Underway>();
  #firstTag = 0;
  #count = 0;
  #bytes = 0;
  #next: QueueEntry | undefined;
  #moved = 0;
  #toMark = 0;
  #marked = 0;

  constructor(queue: Queue, around: QueueMoveAround) {
    this.queue = queue;
    this.#around = around;
  }

  get moved(): number {
    return this.#moved;
  }
  /** How many of the first messages must be marked as redelivered. */
  get toMark(): number {
    return this.#toMark;
  }
  /** Messages that somebody may have seen. */
  get seen(): number {
    return this.#marked;
  }
  get isEmpty(): boolean {
    return this.#next === undefined && this.queue.readyCount === 0;
  }

  /** A user named by a message that waits for its confirm, other than this one. */
  foreignUser(user: string): string | undefined {
    for (const { entry } of this.#underway.values()) {
      const { userId } = entry.message.properties();
      if (userId !== undefined && userId !== user) return userId;
    }
    return undefined;
  }

  /**
   * Moves all messages, or those before the first one that `stopsAt`. Resolves when the target has confirmed them and they
   * are forgotten here durably. @throws TargetError; what is not forgotten is still here.
   */
  async run(ways: Ways, stopsAt: (entry: QueueEntry) => boolean = () => false): Promise<void> {
    const { client } = this.#around;
    client.onConfirmed = (tag, isMultiple) => this.#confirmed(tag, isMultiple);
    for (;;) {
      const entry = (this.#next ??= this.queue.take());
      if (entry === undefined || stopsAt(entry)) break;
      await this.#roomFor(entry);
      await this.#publish(entry, ways);
      this.#next = undefined;
    }
    await client.until(() => this.#count === 0);
  }

  async #roomFor({ message }: QueueEntry): Promise<void> {
    const isRoom = (): boolean =>
      this.#count === 0 || (this.#count < underwayMax && this.#bytes + message.body.length <= underwayBytesMax);
    if (!isRoom()) await this.#around.client.until(isRoom);
  }

  async #publish(entry: QueueEntry, ways: Ways): Promise<void> {
    const { client, clock } = this.#around;
    const way = ways.known(entry.message) ?? (await ways.make(entry.message));
    const tag = client.publish({ ...way, ...contentOf(entry, clock) });
    if (this.#underway.size === 0) this.#firstTag = tag;
    this.#underway.set(tag, { entry, isConfirmed: false });
    this.#count++;
    this.#bytes += entry.message.body.length;
    this.#moved++;
    if (!entry.isRedelivered) return;
    this.#toMark = this.#moved;
    this.#marked++;
  }

  /** The target confirms in any order, one or many at a time; it is forgotten in order. */
  #confirmed(tag: number, isMultiple: boolean): void {
    for (let at = isMultiple ? this.#firstTag : tag; at <= tag; at++) {
      const one = this.#underway.get(at);
      if (one !== undefined) one.isConfirmed = true;
    }
    let [count, bytes] = [0, 0];
    for (let one = this.#underway.get(this.#firstTag); one?.isConfirmed === true;) {
      this.queue.settle(one.entry);
      this.#underway.delete(this.#firstTag++);
      count++;
      bytes += one.entry.message.body.length;
      one = this.#underway.get(this.#firstTag);
    }
    if (count > 0) void this.#forgotten(count, bytes);
  }

  async #forgotten(count: number, bytes: number): Promise<void> {
    await this.#around.broker.durable();
    this.#count -= count;
    this.#bytes -= bytes;
    this.#around.onProgress(count);
    this.#around.client.look();
  }
}

/** A message that has a time to live takes what is left of it along. */
function contentOf(
  { message, expiresAtMs }: QueueEntry,
  clock: Clock,
): { readonly properties: Uint8Array; readonly body: Uint8Array } {
  const { body, propertyBytes } = message;
  if (expiresAtMs === undefined) return { properties: propertyBytes, body };
  const leftMs = Math.max(1, Math.round(expiresAtMs - clock.monotonicMs()));
  const properties: BasicProperties = { ...message.properties(), expiration: String(leftMs) };
  return { properties: encodeProperties(properties), body };
}
