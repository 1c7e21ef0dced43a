import type { FieldTable } from '@torcello/amqp091';
import type { Clock, Timer } from '@torcello/platform';
import type { Pageable, Pager } from '../pager.js';
import { recoveredChange } from '../store/commit-log.js';
import type { ChangeOwner, CommitLog, Refusal } from '../store/commit-log.js';
import { StoreDamage } from '../store/message-store.js';
import type { MessagePlace } from '../store/message-store.js';
import type { ColdEntry } from './cold-list.js';
import { ConsumerList } from './consumer-list.js';
import type { QueueConsumer } from './consumer-list.js';
import { Message } from './message.js';
import type { QueueOptions } from './queue-options.js';
import type { ReadyOwner } from './ready-level.js';
import { ReadyList } from './ready-list.js';
import type { QueueEntry } from './ready-list.js';
import { placeOf } from './shared-bodies.js';
import type { SharedBodies } from './shared-bodies.js';

/** Why a message leaves a queue unread; the words are those of RabbitMQ's `x-death`. */
export type DeathReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit';

/** A queue as it was declared. */
export interface QueueDefinition {
  readonly name: string;
  /** Its place in the store, which has some 4,000,000,000; 0 for a queue that nothing is kept of. */
  readonly number: number;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  /** The connection that it belongs to and dies with. */
  readonly owner: object | undefined;
  readonly arguments: FieldTable;
  readonly options: QueueOptions;
}

/** What a queue needs around it. */
export interface QueueSurroundings {
  readonly clock: Clock;
  readonly log: CommitLog;
  readonly pager: Pager;
  readonly bodies: SharedBodies;
  /** The value of a message that was stored; undefined when it is not there. @throws StoreDamage. */
  read(place: MessagePlace): Buffer | undefined;
  /** A message leaves unread; hand it to the dead-letter exchange if there is one. */
  deadLetter(queue: Queue, message: Message, reason: DeathReason): void;
  /** Nobody used the queue for as long as it said (x-expires), or its last consumer went (auto-delete). */
  queueIsDone(queue: Queue, why: 'unused' | 'last-consumer-gone'): void;
}

/** Messages that expire in one turn of the event loop: those behind them wait for the next one. */
const expiredPerTurnMax = 500;
/** `enqueue` did not take the message. */
export const refused = -1;
const nothing = new Uint8Array();

/**
 * A queue: messages in order, consumers that take turns, and the rules by which messages leave unread. It knows nothing
 * of channels, permissions or bindings. Messages of a durable queue that are persistent go to the commit log with it.
 */
export class Queue implements ReadyOwner, Pageable, ChangeOwner {
  readonly definition: QueueDefinition;
  /** What holds now: the declaration, and what policies add. */
  #options: QueueOptions;
  readonly #around: QueueSurroundings;
  readonly #ready: ReadyList;
  readonly #unsettled = new Set<QueueEntry>();
  readonly #consumers: ConsumerList;
  #residentBytes = 0;
  #positionLast = 0;
  #seenUpTo = 0;
  #hadConsumer = false;
  #hasReturned = false;
  #isDeleted = false;
  #mayExpire = false;
  #expiryTimer: { readonly atMs: number; readonly timer: Timer } | undefined;
  #idleTimer: Timer | undefined;
  #usedAtMs: number;

  constructor(definition: QueueDefinition, around: QueueSurroundings) {
    this.definition = definition;
    this.#options = definition.options;
    this.#around = around;
    this.#ready = new ReadyList(this, definition.options.priorityMax);
    this.#consumers = new ConsumerList(definition.options.isSingleActiveConsumer);
    this.#usedAtMs = around.clock.monotonicMs();
    this.#watchIdle();
  }

  get name(): string {
    return this.definition.name;
  }
  get options(): QueueOptions {
    return this.#options;
  }
  get readyCount(): number {
    return this.#ready.length;
  }
  /** Bodies of waiting messages, in bytes. */
  get readyBytes(): number {
    return this.#ready.bytes;
  }
  get unsettledCount(): number {
    return this.#unsettled.size;
  }
  get consumerCount(): number {
    return this.#consumers.length;
  }
  get hasExclusiveConsumer(): boolean {
    return this.#consumers.hasExclusive;
  }
  /** Whether some of its messages may have been handed to somebody before. */
  get mayBeSeen(): boolean {
    return this.#unsettled.size > 0 || (this.#hasReturned && this.#ready.length > 0);
  }
  /** The position up to which messages were handed out, as far as they are still here. */
  get seenUpTo(): number {
    let last = this.#seenUpTo;
    for (const { position } of this.#unsettled) last = Math.max(last, position);
    return last;
  }
  /** Memory that waiting messages take, in bytes, roughly. */
  get residentBytes(): number {
    return this.#residentBytes;
  }
  /** Whether the queue outlives the broker. An exclusive one never does, as its connection ends before. */
  get isKept(): boolean {
    return this.definition.isDurable && this.definition.owner === undefined;
  }
  get isDeleted(): boolean {
    return this.#isDeleted;
  }

  /** Whether the message outlives the broker here. */
  keeps(message: Message): boolean {
    return this.isKept && (message.isPersistent || this.#options.type === 'quorum');
  }

  /**
   * Takes a message, or gives `refused` when the queue is full and refuses. Otherwise the ticket of the commit that
   * makes it durable; 0 when nothing of it goes to disk. With a `refusal` a full disk need not take it, and this is
   * what becomes of it then; without one its change waits for room.
   */
  enqueue(message: Message, refusal?: Refusal): number {
    const options = this.#options;
    if (options.overflow !== 'drop-head' && this.#isFull(message.body.length)) {
      if (options.overflow === 'reject-publish-dlx') this.#around.deadLetter(this, message, 'maxlen');
      return refused;
    }
    const entry = this.#entry(message);
    const isFirst = this.#ready.length === 0;
    if (isFirst && this.#unsettled.size === 0) this.#hasReturned = false;
    const consumer = isFirst ? this.#consumers.next() : undefined;
    if (consumer?.isSettledAtOnce === true) {
      consumer.deliver(entry);
      return 0;
    }
    if (this.keeps(message)) this.#store(entry, refusal);
    if (consumer === undefined) this.#wait(entry);
    else this.#handOver(entry, consumer);
    return entry.stored?.ticket ?? 0;
  }

  /**
   * Puts a message back that the store kept, in the order of positions, before anybody uses the queue. It stays on disk.
   * @param isSeen - it may have been handed out before.
   */
  recover(record: Buffer, position: number, isSeen: boolean): void {
    this.#positionLast = Math.max(this.#positionLast, position);
    if (isSeen) this.#seenUpTo = Math.max(this.#seenUpTo, position);
    this.#hasReturned ||= isSeen;
    const bytes = Message.bodyBytesOf(record);
    const bodyNumber = Message.bodyNumberOf(record);
    if (bodyNumber !== undefined) this.#around.bodies.recoverUse(bodyNumber);
    const { messageTtlMs } = this.#options;
    if (messageTtlMs === undefined && !Message.hasOwnRules(record)) {
      this.#ready.pushCold({ position, bytes, isRedelivered: isSeen, expiresAtMs: undefined, bodyNumber }, 0);
      return;
    }
    const message = Message.fromRecord(record, () => nothing);
    const leftMs = this.#lifeLeftMs(message, message.arrivedAtMs);
    const expiresAtMs = leftMs === undefined ? undefined : this.#nowMs() + leftMs;
    this.#mayExpire ||= expiresAtMs !== undefined;
    this.#ready.pushCold(
      { position, bytes, isRedelivered: isSeen, expiresAtMs, bodyNumber },
      this.#priorityOf(message),
    );
  }

  /** Drops what ran out while the broker was down. To be called once after the last `recover`. */
  recoveryEnded(): void {
    this.#afterChange();
  }

  /** Takes the next message for somebody who asked for just one. It is unsettled until `settle`, `putBack` or `reject`. */
  take(): QueueEntry | undefined {
    this.touch();
    this.#dropExpired(Infinity);
    const entry = this.#ready.shift();
    if (entry !== undefined) this.#unsettled.add(entry);
    this.#afterChange();
    return entry;
  }

  /** How often a quorum queue's message came back; undefined for a classic queue, which does not tell. */
  deliveryCount(entry: QueueEntry): number | undefined {
    return this.definition.options.type === 'quorum' ? entry.returns : undefined;
  }

  /** The entry is done with: forget it. */
  settle(entry: QueueEntry): void {
    if (this.#unsettled.delete(entry)) this.#forget(entry);
  }

  /** Entries come back to their old places, marked as redelivered. */
  putBack(entries: readonly QueueEntry[]): void {
    const { deliveryLimit } = this.#options;
    this.#hasReturned ||= entries.length > 0;
    for (const entry of entries.toSorted((a, b) => b.position - a.position)) {
      if (!this.#unsettled.delete(entry)) continue;
      if (this.#isDeleted) this.#forget(entry);
      entry.isRedelivered = true;
      this.#seenUpTo = Math.max(this.#seenUpTo, entry.position);
      entry.returns++;
      if (this.#isDeleted) continue;
      if (deliveryLimit !== undefined && entry.returns > deliveryLimit) this.#die(entry, 'delivery_limit');
      else this.#waitAgain(entry);
    }
    if (this.#isDeleted) return;
    this.#trim();
    this.dispatch();
  }

  /** The entry can never be handled: dead-letter or drop it. */
  reject(entry: QueueEntry): void {
    if (this.#unsettled.delete(entry)) this.#die(entry, 'rejected');
  }

  addConsumer(consumer: QueueConsumer): void {
    this.touch();
    this.#hadConsumer = true;
    this.#consumers.add(consumer);
  }

  removeConsumer(consumer: QueueConsumer): void {
    if (!this.#consumers.remove(consumer) || this.#isDeleted) return;
    this.touch();
    this.#watchIdle();
    if (this.definition.isAutoDelete && this.#hadConsumer && this.#consumers.length === 0) {
      this.#around.queueIsDone(this, 'last-consumer-gone');
    } else this.dispatch();
  }

  /** Hands waiting messages to consumers that can take them. */
  dispatch(): void {
    if (this.#isDeleted) return;
    while (this.#ready.length > 0) {
      const consumer = this.#consumers.next();
      if (consumer === undefined || !this.#dropExpired(expiredPerTurnMax)) break;
      const entry = this.#ready.shift();
      if (entry === undefined) break;
      this.#handOver(entry, consumer);
    }
    this.#afterChange();
  }

  /** Forgets all waiting messages and tells how many they were. */
  purge(): number {
    const { entries, cold } = this.#ready.clear();
    for (const entry of entries) this.#forget(entry);
    for (const { position, bodyNumber } of cold) this.#forgetStored(position, bodyNumber);
    return entries.length + cold.length;
  }

  /** Somebody used the queue: x-expires counts anew. */
  touch(): void {
    this.#usedAtMs = this.#nowMs();
  }

  /** Other rules hold from now on. Messages that wait keep the time to live that they came with, as on RabbitMQ. */
  apply(options: QueueOptions): void {
    this.#options = options;
    this.touch();
    this.#idleTimer?.cancel();
    this.#idleTimer = undefined;
    this.#watchIdle();
    this.#trim();
    this.#afterChange();
  }

  /** Dead-letters all waiting messages, because the queue ends by itself. */
  expireAll(): number {
    if (this.#options.deadLetterExchange === undefined) return this.purge();
    const count = this.#ready.length;
    for (let entry = this.#ready.shift(); entry !== undefined; entry = this.#ready.shift()) this.#die(entry, 'expired');
    return count;
  }

  /** Lets go of the bodies of waiting messages that lie safely on disk. */
  cool(): void {
    if (!this.isKept) return;
    const { durableTicket } = this.#around.log;
    const isSafe = ({ stored, returns }: QueueEntry): boolean =>
      stored !== undefined && stored.ticket <= durableTicket && returns === 0;
    this.#ready.cool(isSafe, this.#consumers.length > 0);
  }

  load({ position, isRedelivered, expiresAtMs }: ColdEntry): QueueEntry {
    const { name, number } = this.definition;
    const read = (place: MessagePlace): Buffer => {
      const value = this.#around.read(place);
      if (value === undefined) throw new StoreDamage(`message ${position} of queue '${name}'`, 'it is not there');
      return value;
    };
    const message = Message.fromRecord(read({ queue: number, position }), (body) => read(placeOf(body)));
    const priority = this.#priorityOf(message);
    return { message, position, priority, expiresAtMs, isRedelivered, returns: 0, stored: recoveredChange };
  }

  residentChanged(bytes: number): void {
    this.#residentBytes += bytes;
    this.#around.pager.changed(this, bytes);
  }

  changesRefused(places: readonly MessagePlace[], refusal: Refusal): void {
    const positions = new Set(places.map(({ position }) => position));
    for (const entry of this.#unsettled) if (positions.has(entry.position)) entry.stored = undefined;
    this.#ready.remove((entry) => {
      if (!positions.has(entry.position)) return false;
      entry.stored = undefined;
      return refusal === 'withdraw';
    });
  }

  /** The queue is gone: consumers are told, messages forgotten, also those that are handed out. */
  delete(): number {
    this.#isDeleted = true;
    this.stopTimers();
    const count = this.purge();
    for (const entry of this.#unsettled) this.#forget(entry);
    this.#unsettled.clear();
    for (const consumer of this.#consumers.clear()) consumer.onQueueEnd();
    return count;
  }

  /** Lets go of the clock, for the broker's stop. */
  stopTimers(): void {
    this.#expiryTimer?.timer.cancel();
    this.#expiryTimer = undefined;
    this.#idleTimer?.cancel();
    this.#idleTimer = undefined;
  }

  #nowMs(): number {
    return this.#around.clock.monotonicMs();
  }

  #entry(message: Message, position: number = ++this.#positionLast): QueueEntry {
    const leftMs = this.#lifeLeftMs(message);
    return {
      message,
      position,
      priority: this.#priorityOf(message),
      expiresAtMs: leftMs === undefined ? undefined : this.#nowMs() + leftMs,
      isRedelivered: false,
      returns: 0,
      stored: undefined,
    };
  }

  #priorityOf(message: Message): number {
    return Math.min(message.priority, this.definition.options.priorityMax);
  }

  /** The smaller one of the queue's and the sender's time to live, counted from arrival. */
  #lifeLeftMs(message: Message, arrivedAtMs?: number): number | undefined {
    const { messageTtlMs } = this.#options;
    const { expirationMs } = message;
    if (messageTtlMs === undefined && expirationMs === undefined) return undefined;
    const lifeMs = Math.min(messageTtlMs ?? Infinity, expirationMs ?? Infinity);
    return arrivedAtMs === undefined ? lifeMs : Math.max(0, lifeMs - (this.#around.clock.now() - arrivedAtMs));
  }

  #store(entry: QueueEntry, refusal: Refusal | undefined): void {
    const place = { queue: this.definition.number, position: entry.position };
    const owner = refusal === undefined ? undefined : this;
    const { bodyNumber, sealedBody } = entry.message;
    if (bodyNumber !== undefined && sealedBody !== undefined) this.#around.bodies.hold(bodyNumber, sealedBody, refusal);
    const operation = { kind: 'put-message', place, value: entry.message.sealed() } as const;
    entry.stored = this.#around.log.append(operation, owner, refusal);
  }

  #forget(entry: QueueEntry): void {
    const { stored } = entry;
    if (stored === undefined) return;
    entry.stored = undefined;
    const { bodyNumber } = entry.message;
    if (!this.#around.log.takeBack(stored)) this.#forgetStored(entry.position, bodyNumber);
    else if (bodyNumber !== undefined) this.#around.bodies.release(bodyNumber);
  }

  #forgetStored(position: number, bodyNumber: number | undefined): void {
    this.#around.log.append({ kind: 'delete-message', place: { queue: this.definition.number, position } });
    if (bodyNumber !== undefined) this.#around.bodies.release(bodyNumber);
  }

  #handOver(entry: QueueEntry, consumer: QueueConsumer): void {
    if (consumer.isSettledAtOnce) {
      consumer.deliver(entry);
      this.#forget(entry);
      return;
    }
    this.#unsettled.add(entry);
    entry.message.keep();
    consumer.deliver(entry);
  }

  /** Nobody takes it now. A time to live of 0 means: only if it can be delivered at once. */
  #wait(entry: QueueEntry): void {
    if (entry.expiresAtMs !== undefined && entry.expiresAtMs <= this.#nowMs()) return this.#die(entry, 'expired');
    entry.message.keep();
    this.#mayExpire ||= entry.expiresAtMs !== undefined;
    this.#ready.push(entry);
    this.#trim();
    this.#afterChange();
  }

  #waitAgain(entry: QueueEntry): void {
    this.#mayExpire ||= entry.expiresAtMs !== undefined;
    this.#ready.putBack(entry);
  }

  #isFull(bytes: number): boolean {
    const { lengthMax, lengthBytesMax } = this.#options;
    if (lengthMax !== undefined && this.#ready.length >= lengthMax) return true;
    return lengthBytesMax !== undefined && this.#ready.bytes + bytes > lengthBytesMax;
  }

  /**
   * Drops from the head what is over the length that the declaration allows. With priorities the head is the most urgent
   * message, as on RabbitMQ.
   */
  #trim(): void {
    const { overflow, lengthMax = Infinity, lengthBytesMax = Infinity } = this.#options;
    if (overflow !== 'drop-head') return;
    while (this.#ready.length > lengthMax || this.#ready.bytes > lengthBytesMax) {
      const entry = this.#ready.shift();
      if (entry === undefined) return;
      this.#die(entry, 'maxlen');
    }
  }

  /** The new message and the end of the old one are in the same commit. */
  #die(entry: QueueEntry, reason: DeathReason): void {
    this.#around.deadLetter(this, entry.message, reason);
    this.#forget(entry);
  }

  /** Whether none of the messages that come next has expired any more: of many each turn drops so many. */
  #dropExpired(most: number): boolean {
    if (!this.#mayExpire) return true;
    const nowMs = this.#nowMs();
    let dropped = 0;
    for (let head = this.#expiredHead(nowMs); head !== undefined; head = this.#expiredHead(nowMs)) {
      if (dropped++ >= most) return false;
      this.#ready.shiftHead(head);
      this.#die(head, 'expired');
    }
    if (this.#ready.length === 0) this.#mayExpire = false;
    return true;
  }

  #expiredHead(nowMs: number): QueueEntry | undefined {
    return this.#ready.heads().find(({ expiresAtMs }) => expiresAtMs !== undefined && expiresAtMs <= nowMs);
  }

  /** Drops expired heads and watches the next one. An armed timer that comes too early just looks again. */
  #afterChange(): void {
    if (!this.#mayExpire || this.#isDeleted) return;
    this.#dropExpired(expiredPerTurnMax);
    const dues = this.#ready.heads().map(({ expiresAtMs }) => expiresAtMs ?? Infinity);
    const atMs = Math.min(...dues);
    if (atMs === Infinity || (this.#expiryTimer !== undefined && this.#expiryTimer.atMs <= atMs)) return;
    this.#expiryTimer?.timer.cancel();
    const timer = this.#around.clock.after(atMs - this.#nowMs(), () => {
      this.#expiryTimer = undefined;
      this.dispatch();
    });
    this.#expiryTimer = { atMs, timer };
  }

  #watchIdle(): void {
    const { expiresMs } = this.#options;
    if (expiresMs === undefined || this.#idleTimer !== undefined || this.#consumers.length > 0) return;
    const leftMs = expiresMs - (this.#nowMs() - this.#usedAtMs);
    this.#idleTimer = this.#around.clock.after(leftMs, () => {
      this.#idleTimer = undefined;
      if (this.#consumers.length > 0) return;
      if (this.#nowMs() - this.#usedAtMs >= expiresMs) this.#around.queueIsDone(this, 'unused');
      else this.#watchIdle();
    });
  }
}
