import { fieldValuesEqual } from '@torcello/amqp091';
import type { BasicProperties, FieldTable } from '@torcello/amqp091';
import type { Clock, Logger, Random } from '@torcello/platform';
import { matchesName } from './access/name-pattern.js';
import type { NamePattern } from './access/name-pattern.js';
import { AmqpError } from './amqp-error.js';
import { limitReached } from './limit-reached.js';
import type { Counters } from './counters.js';
import { DeadLetters } from './dead-letters.js';
import { declaredAlternate, Exchange, isExchangeType, predeclaredExchanges } from './exchange.js';
import type { Binding, Destination, ExchangeDefinition } from './exchange.js';
import type { BrokerLimits } from './limits.js';
import type { Message } from './queue/message.js';
import { checkArguments } from './queue/argument-rules.js';
import { queueOptions } from './queue/queue-options.js';
import { Queue } from './queue/queue.js';
import type { DeathReason, QueueDefinition, QueueSurroundings } from './queue/queue.js';
import type { SharedBodies } from './queue/shared-bodies.js';
import { PolicyRefused } from './policy/policy-refused.js';
import { effectiveArguments } from './policy/policy-keys.js';
import { Policies } from './policy/policies.js';
import type { AppliedPolicies, PolicyRecord } from './policy/policies.js';
import type { Policy, PolicyKind } from './policy/policy.js';
import { Routes } from './routes.js';
import type { Pager } from './pager.js';
import type { CommitLog } from './store/commit-log.js';
import type { MessagePlace } from './store/message-store.js';
import { bindingKey, recordKey, recordKinds, tableFromText, tableToText } from './topology-records.js';
import type { BindingRecord, ExchangeRecord, QueueRecord } from './topology-records.js';
import { checkMatchMode } from './routing/headers.js';

/** What a virtual host needs from the broker. */
export interface VhostSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly log: CommitLog;
  readonly pager: Pager;
  readonly bodies: SharedBodies;
  /** The value of a message that was stored; undefined when it is not there. @throws StoreDamage. */
  read(place: MessagePlace): Buffer | undefined;
  readonly limits: BrokerLimits;
  readonly counters: Counters;
  /** Queues that are neither durable nor exclusive may be declared. */
  readonly permitsTransientQueues: boolean;
  /** The next number of a queue in the store. */
  nextQueueNumber(): number;
}

/** What `queue.declare` asks for. */
export interface QueueWish {
  readonly name: string;
  /** The broker made the name. */
  readonly isServerNamed: boolean;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  /** Only this connection may use the queue, which dies with it. */
  readonly isExclusive: boolean;
  readonly connection: object;
  readonly arguments: FieldTable;
}

/** What names a binding. */
export interface BindingWish {
  readonly source: string;
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** Arguments that a repeated declaration must repeat, as on RabbitMQ. */
const comparedArguments = [
  'x-expires',
  'x-message-ttl',
  'x-dead-letter-exchange',
  'x-dead-letter-routing-key',
  'x-max-length',
  'x-max-length-bytes',
  'x-overflow',
  'x-max-priority',
  'x-single-active-consumer',
  'x-delivery-limit',
  'x-queue-mode',
] as const;

/**
 * One virtual host: exchanges, queues and bindings, how they come to be and end, and the way of a message through them.
 * Durable ones are appended to the commit log; who must know that they are safe waits for its ticket.
 */
export class Vhost {
  readonly name: string;
  readonly exchanges: Map<string, Exchange> = new Map();
  readonly queues: Map<string, Queue> = new Map();
  readonly #around: VhostSurroundings;
  readonly #exclusive = new Map<object, Set<Queue>>();
  readonly #bindingsTo = new Map<Destination, Set<Binding>>();
  readonly #policies: Policies;
  readonly #routes: Routes;
  readonly #deadLetters: DeadLetters;
  readonly #aroundQueues: QueueSurroundings;

  constructor(name: string, around: VhostSurroundings) {
    this.name = name;
    this.#around = around;
    this.#policies = new Policies(around.log);
    this.#routes = new Routes(this.exchanges, this.queues);
    this.#deadLetters = new DeadLetters({
      clock: around.clock,
      exchanges: this.exchanges,
      routes: this.#routes,
      bodies: around.bodies,
    });
    const { clock, log, pager } = around;
    this.#aroundQueues = {
      clock,
      log,
      pager,
      bodies: around.bodies,
      read: (place) => around.read(place),
      deadLetter: (from, message, reason) => this.#deadLetter(from, message, reason),
      queueIsDone: (done, why) => this.#queueIsDone(done, why),
    };
    for (const definition of predeclaredExchanges) this.exchanges.set(definition.name, new Exchange(definition));
  }

  /** The queues that a message reaches: each once, none if nothing matches. @throws NOT_FOUND. */
  route(exchange: string, routingKey: string, properties: BasicProperties): Queue[] {
    return this.#routes.find(exchange, routingKey, properties);
  }

  /** @throws NOT_FOUND. */
  exchange(name: string): Exchange {
    const exchange = this.exchanges.get(name);
    if (exchange === undefined) throw new AmqpError('NOT_FOUND', `no exchange '${name}' in vhost '${this.name}'`);
    return exchange;
  }

  /** @throws NOT_FOUND; RESOURCE_LOCKED when it belongs to another connection. */
  queue(name: string, user: object | undefined): Queue {
    const queue = this.queues.get(name);
    if (queue === undefined) throw new AmqpError('NOT_FOUND', `no queue '${name}' in vhost '${this.name}'`);
    const { owner } = queue.definition;
    if (owner === undefined || owner === user) return queue;
    throw this.#locked(name);
  }

  /** @throws PRECONDITION_FAILED when it exists and differs; ACCESS_REFUSED for reserved names. */
  declareExchange(wish: Omit<ExchangeDefinition, 'type'> & { readonly type: string }): Exchange {
    const { name, type } = wish;
    if (name === '') throw new AmqpError('ACCESS_REFUSED', 'operation not permitted on the default exchange');
    if (!isExchangeType(type)) throw new AmqpError('PRECONDITION_FAILED', `unknown exchange type '${type}'`);
    const definition = { ...wish, type };
    const there = this.exchanges.get(name);
    if (there !== undefined) return this.#sameExchange(there, definition);
    if (name.startsWith('amq.')) throw reserved('exchange', name);
    const { exchangesPerVhostMax } = this.#around.limits;
    if (this.exchanges.size >= exchangesPerVhostMax) {
      throw limitReached('exchangesPerVhostMax', exchangesPerVhostMax, { of: `exchanges of vhost '${this.name}'` });
    }
    const exchange = this.#addExchange(definition);
    if (definition.isDurable)
      this.#put(recordKey(recordKinds.exchange, this.name, name), this.#exchangeRecord(exchange));
    return exchange;
  }

  deleteExchange(exchange: Exchange, options: { readonly ifUnused: boolean }): void {
    const { name, isDurable } = exchange.definition;
    if (name.startsWith('amq.')) throw reserved('exchange', name);
    if (options.ifUnused && exchange.bindings.size > 0) {
      throw new AmqpError('PRECONDITION_FAILED', `exchange '${name}' in vhost '${this.name}' in use`);
    }
    if (!this.exchanges.delete(name)) return;
    if (isDurable) this.#delete(recordKey(recordKinds.exchange, this.name, name));
    for (const binding of exchange.bindings.values()) this.#removeBinding(binding);
    this.#removeBindingsTo(exchange);
  }

  /** @throws PRECONDITION_FAILED, RESOURCE_LOCKED, ACCESS_REFUSED, RESOURCE_ERROR, NOT_IMPLEMENTED, INTERNAL_ERROR. */
  declareQueue(asked: QueueWish): Queue {
    const wish = { ...asked, isDurable: asked.isDurable && !asked.isExclusive };
    this.#around.counters.queuesDeclared++;
    const there = this.queues.get(wish.name);
    if (there !== undefined) return this.#sameQueue(this.queue(wish.name, wish.connection), wish);
    const { name, isDurable, isAutoDelete } = wish;
    if (name.startsWith('amq.') && !wish.isServerNamed) throw reserved('queue', name);
    const options = queueOptions(wish.arguments);
    checkArguments(wish.arguments, options.type);
    this.#checkQueueWish(wish, options.type);
    this.#around.counters.queuesCreated++;
    const owner = wish.isExclusive ? wish.connection : undefined;
    const number = isDurable ? this.#around.nextQueueNumber() : 0;
    const queue = this.#addQueue({ name, number, isDurable, isAutoDelete, owner, arguments: wish.arguments, options });
    if (owner !== undefined) this.#exclusive.set(owner, (this.#exclusive.get(owner) ?? new Set()).add(queue));
    if (isKept(queue)) this.#put(recordKey(recordKinds.queue, this.name, name), this.#queueRecord(queue));
    return queue;
  }

  /** A name for a queue that nobody can guess. */
  freshQueueName(): string {
    return `amq.gen-${Buffer.from(this.#around.random.bytes(16)).toString('base64url')}`;
  }

  /** The exclusive queues of a connection. */
  queuesOf(connection: object): Queue[] {
    return [...(this.#exclusive.get(connection) ?? [])];
  }

  /** Ends a queue and its bindings, and tells its consumers. Gives the number of messages that were waiting. */
  deleteQueue(queue: Queue): number {
    if (this.queues.get(queue.name) !== queue) return 0;
    this.queues.delete(queue.name);
    this.#around.counters.queuesDeleted++;
    this.#disown(queue);
    if (isKept(queue)) this.#delete(recordKey(recordKinds.queue, this.name, queue.name));
    this.#removeBindingsTo(queue);
    return queue.delete();
  }

  /** Deletes all that it holds, for its own end. */
  clear(): void {
    for (const queue of [...this.queues.values()]) this.deleteQueue(queue);
    for (const exchange of [...this.exchanges.values()]) {
      for (const binding of [...exchange.bindings.values()]) this.#removeBinding(binding);
      if (!exchange.name.startsWith('amq.')) this.deleteExchange(exchange, { ifUnused: false });
    }
    for (const kind of ['policy', 'operator_policy'] as const) {
      for (const { name } of [...this.policies(kind)]) this.deletePolicy(kind, name);
    }
  }

  /** @throws NOT_FOUND, ACCESS_REFUSED, RESOURCE_ERROR. */
  bind(wish: BindingWish): void {
    const source = this.exchange(wish.source);
    if (source.definition.type === 'headers') checkMatchMode(wish.arguments);
    const id = bindingId(wish);
    if (source.bindings.has(id)) return;
    const there = this.#bindingsTo.get(wish.destination);
    const { bindingsPerQueueMax } = this.#around.limits;
    if ((there?.size ?? 0) >= bindingsPerQueueMax) {
      throw limitReached('bindingsPerQueueMax', bindingsPerQueueMax, { of: `bindings of '${wish.destination.name}'` });
    }
    const record = this.#bindingRecord(wish);
    const isDurable = source.definition.isDurable && isKept(wish.destination);
    const binding: Binding = { ...wish, source, storeKey: isDurable ? bindingKey(record) : undefined };
    this.#addBinding(binding, id);
    if (binding.storeKey !== undefined) this.#put(binding.storeKey, record);
  }

  /** Fine when there is no such binding, or no such exchange. */
  unbind(wish: BindingWish): void {
    const binding = this.exchanges.get(wish.source)?.bindings.get(bindingId(wish));
    if (binding !== undefined) this.#removeBinding(binding);
  }

  /** The policies of a kind, those that count first in front. */
  policies(kind: PolicyKind): readonly Policy[] {
    return this.#policies.all(kind);
  }

  /** What policies say of a queue or an exchange. */
  policiesOf(thing: Destination): AppliedPolicies {
    const type = thing instanceof Exchange ? 'exchange' : thing.options.type;
    return this.#policies.for({ name: thing.name, type });
  }

  /** Makes or changes a policy, which holds at once for what is there. @throws PolicyRefused when there are too many. */
  putPolicy(kind: PolicyKind, policy: Policy): void {
    const before = this.#policies.get(kind, policy.name);
    const { policiesPerVhostMax } = this.#around.limits;
    if (before === undefined && this.#policies.all(kind).length >= policiesPerVhostMax) {
      throw new PolicyRefused(`vhost '${this.name}' has all the policies it may have (${policiesPerVhostMax})`);
    }
    this.#policies.put(kind, policy);
    this.#policiesChanged([...(before?.globs ?? []), ...policy.globs]);
  }

  /** False when there is no such policy. */
  deletePolicy(kind: PolicyKind, name: string): boolean {
    const policy = this.#policies.delete(kind, name);
    if (policy !== undefined) this.#policiesChanged(policy.globs);
    return policy !== undefined;
  }

  /** To be called before exchanges and queues are recovered. */
  recoverPolicy(record: PolicyRecord): void {
    this.#policies.recover(record);
    this.#policiesChanged(record.policy.globs);
  }

  /** Whether changes of this thing go to the store. */
  isDurable(thing: Destination): boolean {
    return isKept(thing);
  }

  recoverExchange(record: ExchangeRecord): void {
    if (!isExchangeType(record.type)) throw new TypeError(`stored exchange type '${record.type}' is not known`);
    const definition: ExchangeDefinition = {
      name: record.name,
      type: record.type,
      isDurable: true,
      isAutoDelete: record.autoDelete,
      isInternal: record.internal,
      arguments: tableFromText(record.arguments),
    };
    this.#addExchange(definition);
  }

  recoverQueue(record: QueueRecord): Queue {
    const args = tableFromText(record.arguments);
    return this.#addQueue({
      name: record.name,
      number: record.number,
      isDurable: true,
      isAutoDelete: record.autoDelete,
      owner: undefined,
      arguments: args,
      options: queueOptions(args),
    });
  }

  recoverBinding(record: BindingRecord): void {
    const { routingKey } = record;
    const source = this.exchange(record.source);
    const destination = record.toExchange
      ? this.exchange(record.destination)
      : this.queue(record.destination, undefined);
    const args = tableFromText(record.arguments);
    const wish = { source: record.source, destination, routingKey, arguments: args };
    this.#addBinding({ ...wish, source, storeKey: bindingKey(record) }, bindingId(wish));
  }

  /** Lets go of the clock, for the broker's stop. */
  stopTimers(): void {
    for (const queue of this.queues.values()) queue.stopTimers();
  }

  #checkQueueWish(wish: QueueWish, type: 'classic' | 'quorum'): void {
    if (type === 'quorum' && (!wish.isDurable || wish.isExclusive || wish.isAutoDelete)) {
      const text = `a quorum queue is durable, not exclusive and not auto-delete ('${wish.name}' in vhost '${this.name}')`;
      throw new AmqpError('PRECONDITION_FAILED', text);
    }
    if (!wish.isDurable && !wish.isExclusive && !this.#around.permitsTransientQueues) {
      const text =
        'feature transient_nonexcl_queues is not permitted: declare the queue durable or exclusive, or start the broker with --permit transient_nonexcl_queues';
      throw new AmqpError('INTERNAL_ERROR', text);
    }
    const { queuesPerVhostMax } = this.#around.limits;
    if (this.queues.size >= queuesPerVhostMax) {
      throw limitReached('queuesPerVhostMax', queuesPerVhostMax, { of: `queues of vhost '${this.name}'` });
    }
  }

  #addQueue(definition: QueueDefinition): Queue {
    const queue = new Queue(definition, this.#aroundQueues);
    if (!this.#policies.isEmpty) this.#applyPolicies(queue);
    this.queues.set(definition.name, queue);
    return queue;
  }

  #addExchange(definition: ExchangeDefinition): Exchange {
    const exchange = new Exchange(definition);
    if (!this.#policies.isEmpty) this.#applyPolicies(exchange);
    this.exchanges.set(definition.name, exchange);
    return exchange;
  }

  #policiesChanged(globs: NamePattern): void {
    for (const things of [this.exchanges, this.queues]) {
      for (const [name, thing] of things) if (matchesName(globs, name)) this.#applyPolicies(thing);
    }
  }

  #applyPolicies(thing: Destination): void {
    const { definition } = this.policiesOf(thing);
    if (thing instanceof Exchange) {
      const alternate = definition['alternate-exchange'];
      thing.alternate =
        declaredAlternate(thing.definition) ?? (alternate === undefined ? undefined : String(alternate));
      return;
    }
    const { options, arguments: declared } = thing.definition;
    const isPlain = Object.keys(definition).length === 0;
    if (isPlain && thing.options === options) return;
    thing.apply(isPlain ? options : queueOptions(effectiveArguments(declared, definition)));
  }

  #disown(queue: Queue): void {
    const { owner } = queue.definition;
    if (owner === undefined) return;
    const owned = this.#exclusive.get(owner);
    owned?.delete(queue);
    if (owned?.size === 0) this.#exclusive.delete(owner);
  }

  #deadLetter(queue: Queue, message: Message, reason: DeathReason): void {
    this.#deadLetters.send({ queue, message, reason });
  }

  /** A queue that ends unused gives its messages to its dead-letter exchange first, which RabbitMQ does not do. */
  #queueIsDone(queue: Queue, why: 'unused' | 'last-consumer-gone'): void {
    const isReported = why === 'unused' && queue.readyCount > 0;
    const messages = why === 'unused' ? queue.expireAll() : queue.readyCount;
    const hasDeadLetter = queue.options.deadLetterExchange !== undefined;
    this.deleteQueue(queue);
    if (!isReported) return;
    const fields = { vhost: this.name, queue: queue.name, messages, deadLettered: hasDeadLetter };
    this.#around.logger.warn('a queue with messages ended because nobody used it', fields);
  }

  #addBinding(binding: Binding, id: string): void {
    binding.source.bindings.set(id, binding);
    binding.source.router.add(binding);
    const there = this.#bindingsTo.get(binding.destination);
    if (there === undefined) this.#bindingsTo.set(binding.destination, new Set([binding]));
    else there.add(binding);
  }

  #removeBinding(binding: Binding): void {
    const { source, destination, storeKey } = binding;
    if (!source.bindings.delete(bindingId({ ...binding, source: source.name }))) return;
    source.router.remove(binding);
    const there = this.#bindingsTo.get(destination);
    there?.delete(binding);
    if (there?.size === 0) this.#bindingsTo.delete(destination);
    if (storeKey !== undefined) this.#delete(storeKey);
    const isDone = source.definition.isAutoDelete && source.bindings.size === 0;
    if (isDone && this.exchanges.get(source.name) === source) this.deleteExchange(source, { ifUnused: false });
  }

  #removeBindingsTo(destination: Destination): void {
    for (const binding of this.#bindingsTo.get(destination) ?? []) this.#removeBinding(binding);
  }

  #sameExchange(there: Exchange, wish: ExchangeDefinition): Exchange {
    const { definition } = there;
    const what = `exchange '${there.name}' in vhost '${this.name}'`;
    const compare = (arg: string, received: unknown, current: unknown): void => {
      if (received !== current) throw inequivalent({ arg, what, received, current });
    };
    compare('type', wish.type, definition.type);
    compare('durable', wish.isDurable, definition.isDurable);
    compare('auto_delete', wish.isAutoDelete, definition.isAutoDelete);
    compare('internal', wish.isInternal, definition.isInternal);
    this.#compareArguments(what, ['alternate-exchange'], [wish.arguments, definition.arguments]);
    return there;
  }

  #sameQueue(there: Queue, wish: QueueWish): Queue {
    const { definition } = there;
    const what = `queue '${there.name}' in vhost '${this.name}'`;
    const compare = (arg: string, received: unknown, current: unknown): void => {
      if (received !== current) throw inequivalent({ arg, what, received, current });
    };
    if (wish.isExclusive !== (definition.owner !== undefined)) throw this.#locked(there.name);
    compare('durable', wish.isDurable, definition.isDurable);
    compare('auto_delete', wish.isAutoDelete, definition.isAutoDelete);
    compare('x-queue-type', queueOptions(wish.arguments).type, definition.options.type);
    this.#compareArguments(what, comparedArguments, [wish.arguments, definition.arguments]);
    there.touch();
    return there;
  }

  #locked(name: string): AmqpError {
    const text = `cannot obtain exclusive access to locked queue '${name}' in vhost '${this.name}'`;
    return new AmqpError('RESOURCE_LOCKED', text);
  }

  #compareArguments(what: string, names: readonly string[], tables: readonly [FieldTable, FieldTable]): void {
    for (const arg of names) {
      const [received, current] = [tables[0][arg], tables[1][arg]];
      if (!fieldValuesEqual(received, current)) throw inequivalent({ arg, what, received, current });
    }
  }

  #exchangeRecord({ definition }: Exchange): ExchangeRecord {
    const { name, type, isAutoDelete, isInternal } = definition;
    const args = tableToText(definition.arguments);
    return { vhost: this.name, name, type, autoDelete: isAutoDelete, internal: isInternal, arguments: args };
  }

  #queueRecord({ definition }: Queue): QueueRecord {
    const { name, number, isAutoDelete } = definition;
    return { vhost: this.name, name, number, autoDelete: isAutoDelete, arguments: tableToText(definition.arguments) };
  }

  #bindingRecord(wish: BindingWish): BindingRecord {
    return {
      vhost: this.name,
      source: wish.source,
      destination: wish.destination.name,
      toExchange: wish.destination instanceof Exchange,
      routingKey: wish.routingKey,
      arguments: tableToText(wish.arguments),
    };
  }

  #put(key: string, record: object): void {
    this.#around.log.append({ kind: 'put-entity', key, value: JSON.stringify(record) });
  }

  #delete(key: string): void {
    this.#around.log.append({ kind: 'delete-entity', key });
  }
}

function isKept(thing: Destination): boolean {
  return thing instanceof Exchange ? thing.definition.isDurable : thing.isKept;
}

function bindingId(wish: BindingWish): string {
  const kind = wish.destination instanceof Exchange ? 'e' : 'q';
  return `${kind}${wish.destination.name}\0${wish.routingKey}\0${tableToText(wish.arguments)}`;
}

function reserved(kind: string, name: string): AmqpError {
  return new AmqpError('ACCESS_REFUSED', `${kind} name '${name}' contains reserved prefix 'amq.*'`);
}

function inequivalent(difference: {
  readonly arg: string;
  readonly what: string;
  readonly received: unknown;
  readonly current: unknown;
}): AmqpError {
  const { arg, what, received, current } = difference;
  const text = `inequivalent arg '${arg}' for ${what}: received ${shown(received)} but current is ${shown(current)}`;
  return new AmqpError('PRECONDITION_FAILED', text);
}

function shown(value: unknown): string {
  if (value === undefined) return 'none';
  const json = (_key: string, inner: unknown): unknown => (typeof inner === 'bigint' ? inner.toString() : inner);
  return `'${typeof value === 'string' ? value : JSON.stringify(value, json)}'`;
}
