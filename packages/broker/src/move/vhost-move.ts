import { sleep } from '@torcello/platform';
import { Exchange } from '../exchange.js';
import type { Queue } from '../queue/queue.js';
import type { QueueEntry } from '../queue/ready-list.js';
import type { Vhost } from '../vhost.js';
import { reachOf } from './dead-letter-reach.js';
import { KeepAlive } from './keep-alive.js';
import { giveBack, holdBack, markSeen } from './mark-seen.js';
import type { MoveOptions } from './move.js';
import type { ClosedWays, MoveState, QueueUnderway, Way } from './move-state.js';
import { QueueMove, underwayMax } from './queue-move.js';
import type { TargetClient } from './target-client.js';
import { MoveRefused, TargetError } from './target-error.js';
import { detourName, unbindWays, Ways } from './ways.js';

/**
 * RabbitMQ (3.10) answers the declaration of a quorum queue, and confirms messages in it, some time before it is written down
 * that there is such a queue: killed with -9 then, it comes back without them. So nothing is handed over before.
 */
const quorumSettleMs = 5_000;
/** For so long a target that is killed may forget that a binding was taken away, in milliseconds. */
const closedKeptMs = 60_000;
/** And not for more queues than these, the last ones. */
const closedKeptMax = 2_000;
/** Keeps exchanges there that would end with their last binding. */
const guardName = 'torcello.move.guard';

export interface VhostReport {
  exchanges: number;
  queues: number;
  bindings: number;
  messages: number;
  marked: number;
}

/** What is to be known of the whole move. */
export interface VhostMoveAround extends MoveOptions {
  readonly client: TargetClient;
  /** The name of the virtual host on the target. */
  readonly targetVhost: string;
  readonly isBegunBefore: boolean;
  readonly isTopUp: boolean;
  readonly state: () => MoveState;
  readonly save: (change: Partial<MoveState>) => void;
}

/** The move of one virtual host, in steps that are taken for all of them before the next one is. */
export class VhostMove {
  readonly report: VhostReport = { exchanges: 0, queues: 0, bindings: 0, messages: 0, marked: 0 };
  readonly #vhost: Vhost;
  readonly #around: VhostMoveAround;
  readonly #client: TargetClient;
  readonly #exchanges: readonly Exchange[];
  readonly #queues: readonly Queue[];
  readonly #there = new Map<Queue, { readonly messages: number; readonly consumers: number }>();
  readonly #bound: Set<string>;
  readonly #keepAlive: KeepAlive;
  #declaredAtMs = 0;

  constructor(vhost: Vhost, around: VhostMoveAround) {
    this.#vhost = vhost;
    this.#around = around;
    this.#client = around.client;
    this.#exchanges = [...vhost.exchanges.values()].filter(isMoved);
    this.#queues = [...vhost.queues.values()].filter(({ isKept }) => isKept).toSorted(classicFirst);
    this.#bound = new Set(around.state().bound[vhost.name]);
    this.#keepAlive = new KeepAlive(around.client, { clock: around.realClock, queues: this.#queues });
  }

  /**
   * Declares exchanges and queues; what is there already must agree, and nobody may use it. A quorum queue that a move left
   * empty is declared anew: it may be one that RabbitMQ knows of and has not written down, see `quorumSettleMs`. @throws MoveRefused, TargetError.
   */
  async declare(): Promise<void> {
    for (const exchange of this.#exchanges) await this.#declareExchange(exchange);
    for (const queue of this.#queues) {
      let there = await this.#declareQueue(queue);
      if (this.#isBegun && queue.definition.options.type === 'quorum' && there.messages + there.consumers === 0) {
        await this.#client.call({ name: 'queue.delete', queue: queue.name }, 'queue.delete-ok');
        there = await this.#declareQueue(queue);
      }
      this.#there.set(queue, there);
    }
    this.report.exchanges = this.#exchanges.length;
    this.report.queues = this.#queues.length;
    this.#declaredAtMs = this.#around.realClock.monotonicMs();
    this.#keepAlive.start();
    this.#checkUnused();
  }

  /** Hands over every message. @throws TargetError. */
  async messages(): Promise<void> {
    const queues = this.#queues.filter((queue) => queue.readyCount > 0 || this.#isUnderway(queue));
    if (queues.length === 0) return;
    await this.#clear();
    const held: QueueMove[] = [];
    for (const queue of queues) {
      await this.#settled(queue);
      const move = this.#moveOf(queue);
      if (mayLose(queue)) held.push(move);
      else await this.#moveQueue(move, (entry) => mayExpire(queue, entry));
      if (!held.includes(move) && !move.isEmpty) held.push(move);
    }
    await this.#moveHeld(held);
    while (!this.#isEmpty()) {
      for (const queue of this.#queues.filter((one) => one.readyCount > 0)) await this.#moveQueue(this.#moveOf(queue));
    }
  }

  /** Makes the bindings, and takes away what was for the time of the move only. */
  async finish(): Promise<void> {
    for (const exchange of this.#vhost.exchanges.values()) await this.#bindOf(exchange);
    await this.#client.call({ name: 'exchange.delete', exchange: detourName }, 'exchange.delete-ok');
    await this.#client.call({ name: 'exchange.delete', exchange: guardName }, 'exchange.delete-ok');
    for (const exchange of this.#exchanges) {
      if (exchange.definition.isAutoDelete) await this.#declareExchange(exchange);
    }
    await this.#keepAlive.stop();
  }

  async #settled(queue: Queue): Promise<void> {
    if (queue.definition.options.type !== 'quorum') return;
    const { realClock } = this.#around;
    const leftMs = this.#declaredAtMs + quorumSettleMs - realClock.monotonicMs();
    if (leftMs > 0) await sleep(realClock, leftMs);
  }

  stop(): void {
    this.#keepAlive.cancel();
  }

  #isEmpty(): boolean {
    return this.#queues.every(({ readyCount }) => readyCount === 0);
  }

  #isUnderway({ name }: Queue): boolean {
    const { underway } = this.#around.state();
    return underway?.vhost === this.#vhost.name && underway.queue === name;
  }

  #checkUnused(): void {
    const { isBegunBefore, isTopUp, targetVhost } = this.#around;
    if (isTopUp) return;
    for (const [{ name }, { messages, consumers }] of this.#there) {
      const place = `queue '${name}' in vhost '${targetVhost}' of the target`;
      if (consumers > 0) {
        throw new MoveRefused(
          `${place} has ${consumers} readers already; stop them until the move has ended. Nothing was moved`,
        );
      }
      if (messages > 0 && !isBegunBefore) {
        const cure = 'empty it, or name a virtual host that nobody uses yet';
        throw new MoveRefused(`${place} holds ${messages} messages already; ${cure}. Nothing was moved`);
      }
    }
  }

  async #declareQueue(queue: Queue): Promise<{ readonly messages: number; readonly consumers: number }> {
    const { isAutoDelete: autoDelete, arguments: args } = queue.definition;
    const declare = { name: 'queue.declare', queue: queue.name, durable: true, autoDelete, arguments: args } as const;
    const ok = await this.#client.call(declare, 'queue.declare-ok').catch(toldOf(`queue '${queue.name}'`));
    return { messages: ok.messageCount, consumers: ok.consumerCount };
  }

  async #declareExchange({ definition }: Exchange): Promise<void> {
    const { name, type, isDurable: durable, isAutoDelete: autoDelete, isInternal: internal } = definition;
    const declare = { name: 'exchange.declare', exchange: name, type, durable, autoDelete, internal } as const;
    await this.#client
      .call({ ...declare, arguments: definition.arguments }, 'exchange.declare-ok')
      .catch(toldOf(`exchange '${name}'`));
  }

  /**
   * Nothing may be bound while messages go through the exchanges that they came by: not what a move left that was cut
   * short, and not what an import of definitions brought.
   */
  async #clear(): Promise<void> {
    await this.#guard();
    const { underway, closed = [] } = this.#around.state();
    for (const { vhost, queue, ways } of underway === undefined ? closed : [...closed, underway]) {
      if (vhost === this.#vhost.name) await unbindWays(this.#client, queue, ways);
    }
    for (const exchange of this.#vhost.exchanges.values()) {
      await this.#eachBinding(exchange, this.#bound.has(exchange.name) ? 'bind' : 'unbind');
    }
  }

  /** Exchanges with auto-delete end with their last binding: one to nowhere keeps them for the time of the move. */
  async #guard(): Promise<void> {
    const autoDelete = this.#exchanges.filter(({ definition }) => definition.isAutoDelete);
    if (autoDelete.length === 0) return;
    const declare = { name: 'exchange.declare', exchange: guardName, type: 'fanout', durable: true } as const;
    await this.#client.call({ ...declare, arguments: {} }, 'exchange.declare-ok');
    for (const { name: source } of autoDelete) {
      const bind = { name: 'exchange.bind', destination: guardName, source, routingKey: guardName } as const;
      await this.#client.call({ ...bind, arguments: { 'x-match': 'all', [guardName]: true } }, 'exchange.bind-ok');
    }
  }

  #moveOf(queue: Queue): QueueMove {
    const { broker, clock, onProgress } = this.#around;
    const of = queue.readyCount;
    let done = 0;
    return new QueueMove(queue, {
      broker,
      client: this.#client,
      clock,
      onProgress: (count) => {
        done += count;
        onProgress?.({ vhost: this.#vhost.name, queue: queue.name, moved: done, of, count });
      },
    });
  }

  /**
   * Moves what is in a queue, up to a message that `stopsAt`. One that a move was cut short in may hold messages twice: all
   * that are there, and as many as may have been on their way, are marked.
   */
  async #moveQueue(move: QueueMove, stopsAt?: (entry: QueueEntry) => boolean): Promise<void> {
    const { queue } = move;
    const { client, save } = this.#around;
    const place = { vhost: this.#vhost.name, queue: queue.name };
    const remember = (made: readonly Way[]): void => save({ underway: { ...place, ways: made } });
    remember([]);
    const closed = (made: readonly Way[]): void =>
      save({ underway: { ...place, ways: [] }, closed: this.#closedLately({ ...place, ways: made }) });
    const ways = new Ways({ vhost: this.#vhost, queue: queue.name, client, bound: this.#bound, remember, closed });
    const before = move.moved;
    const isHeld = await this.#holdBack(queue);
    try {
      await move.run(ways, stopsAt);
    } catch (error) {
      throw this.#told(error, move);
    }
    await ways.close();
    if (isHeld) await giveBack(client);
    this.report.messages += move.moved - before;
    if (!move.isEmpty) return;
    const there = this.#isBegun ? (this.#there.get(queue)?.messages ?? 0) : 0;
    const doubled = there === 0 ? 0 : there + Math.min(underwayMax, move.moved);
    await this.#mark(move, Math.max(doubled, isHeld ? 0 : move.toMark));
    save({ underway: undefined });
    if (move.moved > 0) this.#around.onQueue?.(this.#vhost.name, queue.name, move.moved);
  }

  #closedLately(last: QueueUnderway): ClosedWays[] {
    const atMs = this.#around.realClock.now();
    const { closed = [] } = this.#around.state();
    return [...closed.filter((one) => atMs - one.atMs < closedKeptMs), { ...last, atMs }].slice(-closedKeptMax);
  }

  get #isBegun(): boolean {
    return this.#around.isBegunBefore && !this.#around.isTopUp;
  }

  #told(error: unknown, move: QueueMove): unknown {
    if (!(error instanceof TargetError)) return error;
    const what = `queue '${move.queue.name}'`;
    const { user } = this.#around.target;
    const foreign = error.code === 0 ? undefined : move.foreignUser(user);
    if (foreign === undefined) return error.code === 0 ? error : error.about(what);
    const cure = `messages name user '${foreign}' as their sender: give '${user}' the tag impersonator there for the move`;
    return error.about(what, `${cure} (rabbitmqctl set_user_tags ${user} administrator impersonator)`);
  }

  /** A queue that refuses what is too much holds more than it may when deliveries came back to it. */
  async #holdBack(queue: Queue): Promise<boolean> {
    const { overflow, lengthMax = Infinity, lengthBytesMax = Infinity } = queue.options;
    if (overflow === 'drop-head' || queue.definition.isAutoDelete || this.#around.isTopUp) return false;
    const there = this.#there.get(queue)?.messages ?? 0;
    const isOver = queue.readyCount + there > lengthMax || queue.readyBytes > lengthBytesMax;
    if (isOver) await holdBack(this.#client, queue.name);
    return isOver;
  }

  async #mark(move: QueueMove, count: number): Promise<void> {
    this.report.marked += move.seen;
    const { queue } = move;
    if (count === 0 || queue.options.deliveryLimit === 0) return;
    if ((this.#there.get(queue)?.consumers ?? 0) > 0) return;
    const { isAutoDelete } = queue.definition;
    await markSeen(this.#client, { name: queue.name, isAutoDelete }, count, this.#around.realClock);
  }

  /**
   * Queues whose messages may die on the target come last, when the way of their dead letters stands there: those first
   * whose dead letters do not need an exchange that others' messages came by.
   */
  async #moveHeld(moves: readonly QueueMove[]): Promise<void> {
    const left = new Set(moves);
    while (left.size > 0) {
      const [first] = left;
      const next = [...left].find((move) => this.#isFree(move, left)) ?? first;
      if (next === undefined) return;
      left.delete(next);
      for (const name of reachOf(this.#vhost, next.queue)) await this.#bindForGood(name);
      await this.#moveQueue(next);
    }
  }

  #isFree(move: QueueMove, left: ReadonlySet<QueueMove>): boolean {
    const reach = reachOf(this.#vhost, move.queue);
    const others = new Set([...left].filter((one) => one !== move).map(({ queue }) => queue));
    return ![...reach].some((name) =>
      [...(this.#vhost.exchanges.get(name)?.bindings.values() ?? [])].some(
        ({ destination }) => !(destination instanceof Exchange) && others.has(destination),
      ),
    );
  }

  async #bindForGood(name: string): Promise<void> {
    const exchange = this.#vhost.exchanges.get(name);
    if (exchange === undefined || this.#bound.has(name)) return;
    this.#bound.add(name);
    this.#around.save({ bound: { ...this.#around.state().bound, [this.#vhost.name]: [...this.#bound] } });
    await this.#eachBinding(exchange, 'bind');
  }

  async #bindOf(exchange: Exchange): Promise<void> {
    this.report.bindings += await this.#eachBinding(exchange, 'bind');
  }

  async #eachBinding(exchange: Exchange, what: 'bind' | 'unbind'): Promise<number> {
    let count = 0;
    for (const { destination, routingKey, arguments: args, storeKey } of exchange.bindings.values()) {
      if (storeKey === undefined) continue;
      const to = { routingKey, arguments: args };
      if (destination instanceof Exchange) {
        const between = { source: exchange.name, destination: destination.name, ...to };
        await this.#client.call({ name: `exchange.${what}`, ...between }, `exchange.${what}-ok`);
      } else {
        const between = { queue: destination.name, exchange: exchange.name, ...to };
        await this.#client.call({ name: `queue.${what}`, ...between }, `queue.${what}-ok`);
      }
      count++;
    }
    return count;
  }
}

/** Declared last, a quorum queue needs less waiting. */
function classicFirst(one: Queue, other: Queue): number {
  return Number(one.definition.options.type === 'quorum') - Number(other.definition.options.type === 'quorum');
}

function isMoved({ name, definition }: Exchange): boolean {
  return definition.isDurable && name !== '' && !name.startsWith('amq.');
}

/** Whether messages of a queue may die on the target before the move has ended, and would then be handed on. */
function mayLose({ options, readyCount, readyBytes }: Queue): boolean {
  const { deadLetterExchange, messageTtlMs, lengthMax = Infinity, lengthBytesMax = Infinity } = options;
  if (deadLetterExchange === undefined) return false;
  return messageTtlMs !== undefined || readyCount > lengthMax || readyBytes > lengthBytesMax;
}

function mayExpire({ options }: Queue, { expiresAtMs }: QueueEntry): boolean {
  return options.deadLetterExchange !== undefined && expiresAtMs !== undefined;
}

/** What is there already and differs, or may not be declared. */
function toldOf(what: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof TargetError)) throw error;
    throw error.about(what);
  };
}
