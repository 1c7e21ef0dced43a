import { sleep, type Logger, type Service } from '@torcello/platform';
import type { Delivery, Topology } from '../driver.js';
import { MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { diagnostics } from '../diagnostics.js';
import { runInScope, traceparentOf } from '../rpc/call-scope.js';
import { DuplicateWindow } from '../rpc/duplicate-window.js';
import type { Target } from '../rpc/target.js';
import { Backoff } from '../transport/backoff.js';
import type { Subscription, Transport } from '../transport/transport.js';
import { compileFilter, type NotificationFilter } from './filter.js';
import {
  isPriority,
  notificationTopology,
  priorities,
  type IncomingNotification,
  type Notification,
  type Priority,
} from './notification.js';

/** `requeue`: give it back, for this or another listener, and ask no further endpoint. */
export type NotificationOutcome = 'handled' | 'requeue' | undefined;

export type NotificationHandler = (
  notification: Notification,
  // eslint-disable-next-line typescript/no-invalid-void-type -- a handler that returns nothing has handled it
) => NotificationOutcome | void | Promise<NotificationOutcome | void>;

/** Handlers by priority. Only priorities that some endpoint handles are read at all. */
export type NotificationEndpoint = {
  readonly filter?: NotificationFilter;
} & { readonly [P in Priority]?: NotificationHandler };

export interface NotificationListenerOptions {
  /** Listeners of one pool share notifications, and every pool gets all of them from its first start on. */
  readonly pool?: string;
  /** Whether `requeue` and a throwing handler give a notification back; default false: it is accepted and lost (oslo). */
  readonly allowRequeue?: boolean;
  /** Notifications fetched and not yet handled, for each queue. Default 16. */
  readonly credit?: number;
  readonly logger?: Logger;
}

/**
 * Reads notifications of topics, one after the other in the order of each queue; each is accepted after its handlers.
 * `start` makes the queues; `stop` ends after the running handler.
 */
export function notificationListener(
  transport: Transport,
  targets: readonly Target[],
  endpoints: readonly NotificationEndpoint[],
  options: NotificationListenerOptions = {},
): Service {
  return new Listener(transport, { targets, endpoints, options });
}

interface ListenerSetting {
  readonly targets: readonly Target[];
  readonly endpoints: readonly NotificationEndpoint[];
  readonly options: NotificationListenerOptions;
}

class Listener implements Service {
  readonly #transport: Transport;
  readonly #setting: ListenerSetting;
  readonly #logger: Logger;
  readonly #wanted: readonly ((notification: Omit<Notification, 'priority'>) => boolean)[];
  readonly #seen = new DuplicateWindow();
  readonly #arrived: Delivery[] = [];
  readonly #subscriptions: Subscription[] = [];
  readonly #backoff: Backoff;
  #stopping = new AbortController();
  #working: Promise<void> | undefined;
  #changing: Promise<void> = Promise.resolve();
  #isServing = false;

  constructor(transport: Transport, setting: ListenerSetting) {
    this.#transport = transport;
    this.#setting = setting;
    this.#logger = setting.options.logger ?? transport.logger;
    this.#backoff = new Backoff(transport.random);
    this.#wanted = setting.endpoints.map(({ filter = {} }) => compileFilter(filter));
  }

  start(): Promise<void> {
    this.#changing = this.#changing.catch(() => undefined).then(() => this.#start());
    return this.#changing;
  }

  stop(): Promise<void> {
    this.#changing = this.#changing.catch(() => undefined).then(() => this.#stop());
    return this.#changing;
  }

  async #start(): Promise<void> {
    if (this.#isServing) return;
    const { targets, endpoints, options } = this.#setting;
    const handled = priorities.filter((priority) => endpoints.some((endpoint) => endpoint[priority] !== undefined));
    const topologies = listenerTopologies(targets, handled, options.pool);
    for (const topology of topologies) await this.#transport.ensure(topology);
    this.#isServing = true;
    this.#stopping = new AbortController();
    const { credit = limits.notificationCredit } = options;
    const onDelivery = (delivery: Delivery): void => this.#onDelivery(delivery);
    try {
      for (const { source } of topologies) {
        this.#subscriptions.push(await this.#transport.consume(source, { credit, onDelivery }));
      }
    } catch (error) {
      await this.#stop();
      throw error;
    }
  }

  async #stop(): Promise<void> {
    this.#isServing = false;
    this.#stopping.abort();
    await Promise.all(this.#subscriptions.splice(0).map((subscription) => subscription.stop()));
    for (const delivery of this.#arrived.splice(0)) delivery.release();
    await this.#working;
  }

  #onDelivery(delivery: Delivery): void {
    if (!this.#isServing) return void delivery.release();
    this.#arrived.push(delivery);
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    for (let delivery = this.#arrived.shift(); delivery !== undefined; delivery = this.#arrived.shift()) {
      await this.#settle(delivery);
    }
    this.#working = undefined;
  }

  async #settle(delivery: Delivery): Promise<void> {
    const notification = this.#decode(delivery);
    if (notification === undefined) return;
    const { uniqueId } = notification;
    // Unlike oslo's, a repeat is accepted: left alone it would come back for ever.
    const isRepeat = uniqueId !== undefined && this.#seen.has(uniqueId);
    const scope = { remainingMs: () => undefined, traceparent: traceparentOf(delivery.message.headers) };
    const work = (): Promise<NotificationOutcome> => this.#handle(notification, scope.traceparent);
    const isRequeued = !isRepeat && (await runInScope(scope, work)) === 'requeue';
    if (isRequeued && this.#setting.options.allowRequeue === true) return this.#giveBack(delivery);
    this.#backoff.reset();
    if (uniqueId !== undefined) this.#seen.add(uniqueId);
    delivery.accept();
  }

  /** At once the first time; one that fails again and again comes back with growing waits. */
  async #giveBack(delivery: Delivery): Promise<void> {
    const { signal } = this.#stopping;
    if (delivery.redelivered) {
      await sleep(this.#transport.clock, this.#backoff.nextMs(), signal).catch(() => undefined);
    }
    delivery.release();
  }

  #decode(delivery: Delivery): IncomingNotification | undefined {
    try {
      return this.#transport.wire.readNotification(delivery.message);
    } catch (error) {
      this.#logger.warn('a notification could not be read and was rejected', { error, ...delivery.destination });
      delivery.reject();
      return undefined;
    }
  }

  async #handle(incoming: IncomingNotification, traceparent: string | undefined): Promise<NotificationOutcome> {
    const { uniqueId: _, priority, ...rest } = incoming;
    if (!isPriority(priority)) {
      this.#logger.warn('a notification of an unknown priority was dropped', { priority, eventType: rest.eventType });
      return 'handled';
    }
    const notification = { ...rest, priority, ...(traceparent === undefined ? {} : { traceparent }) };
    const startMs = this.#transport.clock.monotonicMs();
    const outcome = await this.#offer(notification);
    const durationMs = this.#transport.clock.monotonicMs() - startMs;
    diagnostics.notified(() => ({ eventType: rest.eventType, priority, durationMs, outcome }));
    return outcome;
  }

  async #offer(notification: Notification): Promise<'handled' | 'requeue'> {
    const { priority } = notification;
    for (const [at, endpoint] of this.#setting.endpoints.entries()) {
      const handler = endpoint[priority];
      if (handler === undefined || this.#wanted[at]?.(notification) !== true) continue;
      if ((await this.#call(handler.bind(endpoint), notification)) === 'requeue') return 'requeue';
    }
    return 'handled';
  }

  async #call(handler: NotificationHandler, notification: Notification): Promise<NotificationOutcome> {
    try {
      return (await handler(notification)) ?? 'handled';
    } catch (error) {
      const { eventType, messageId } = notification;
      this.#logger.error('a notification handler failed', { error, eventType, messageId });
      return 'requeue';
    }
  }
}

/** One queue for each topic and priority, or one for everything that the pool gets (oslo 1.2). @throws INVALID_TARGET */
export function listenerTopologies(
  targets: readonly Target[],
  handled: readonly Priority[],
  pool: string | undefined,
): readonly Topology[] {
  const plain = targets.flatMap(({ topic, exchange }) => {
    if (topic === undefined) throw new MessagingError('INVALID_TARGET', 'a notification target needs a topic');
    return handled.map((priority) => notificationTopology(topic, priority, exchange));
  });
  if (pool === undefined) return plain;
  const reachedBy = plain.flatMap((topology) => topology.reachedBy);
  return [{ kind: 'shared', source: { queue: pool }, reachedBy, options: {} }];
}
