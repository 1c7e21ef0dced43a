import { Background, type Logger, type Service, type Timer } from '@torcello/platform';
import type { Delivery } from '../driver.js';
import { limits } from '../limits.js';
import { DuplicateWindow } from '../rpc/duplicate-window.js';
import type { Target } from '../rpc/target.js';
import type { Subscription, Transport } from '../transport/transport.js';
import { compileFilter, type NotificationFilter } from './filter.js';
import { listenerTopologies, type NotificationOutcome } from './listener.js';
import { isPriority, priorities, type IncomingNotification, type Notification, type Priority } from './notification.js';

export type BatchHandler = (
  notifications: readonly Notification[],
  // eslint-disable-next-line typescript/no-invalid-void-type -- a handler that returns nothing has handled them
) => NotificationOutcome | void | Promise<NotificationOutcome | void>;

/** Handlers by priority, each called with what came together. */
export type BatchEndpoint = {
  readonly filter?: NotificationFilter;
} & { readonly [P in Priority]?: BatchHandler };

export interface BatchListenerOptions {
  /** Notifications of a batch, at most. Default 100. */
  readonly batchSize?: number;
  /** A smaller batch is handed over so long after its first notification came. Default 1 s. */
  readonly batchWaitMs?: number;
  /** As of `notificationListener`. */
  readonly pool?: string;
  readonly allowRequeue?: boolean;
  readonly logger?: Logger;
}

interface Held {
  readonly delivery: Delivery;
  readonly notification: IncomingNotification;
}

/**
 * Reads notifications in batches, as oslo.messaging's batch listener: each batch is split by priority, every handler gets
 * its part at once, and all of the part is accepted (or given back) after it.
 */
export function notificationBatchListener(
  transport: Transport,
  targets: readonly Target[],
  endpoints: readonly BatchEndpoint[],
  options: BatchListenerOptions = {},
): Service {
  return new BatchListener(transport, { targets, endpoints, options });
}

interface BatchSetting {
  readonly targets: readonly Target[];
  readonly endpoints: readonly BatchEndpoint[];
  readonly options: BatchListenerOptions;
}

class BatchListener implements Service {
  readonly #transport: Transport;
  readonly #setting: BatchSetting;
  readonly #logger: Logger;
  readonly #background: Background;
  readonly #wanted: readonly ((notification: Omit<Notification, 'priority'>) => boolean)[];
  readonly #seen: DuplicateWindow;
  readonly #subscriptions: Subscription[] = [];
  #held: Held[] = [];
  #timer: Timer | undefined;
  #turn: Promise<void> = Promise.resolve();
  #changing: Promise<void> = Promise.resolve();
  #isServing = false;

  constructor(transport: Transport, setting: BatchSetting) {
    this.#transport = transport;
    this.#setting = setting;
    this.#logger = setting.options.logger ?? transport.logger;
    this.#background = new Background((what, error) => this.#logger.error(what, { error }));
    this.#wanted = setting.endpoints.map(({ filter = {} }) => compileFilter(filter));
    this.#seen = new DuplicateWindow(Math.max(this.#size, limits.duplicateWindowMessages));
  }

  get #size(): number {
    return this.#setting.options.batchSize ?? limits.notificationBatch;
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
    const onDelivery = (delivery: Delivery): void => this.#onDelivery(delivery);
    try {
      for (const { source } of topologies) {
        this.#subscriptions.push(await this.#transport.consume(source, { credit: this.#size, onDelivery }));
      }
    } catch (error) {
      await this.#stop();
      throw error;
    }
  }

  async #stop(): Promise<void> {
    this.#isServing = false;
    this.#timer?.cancel();
    await Promise.all(this.#subscriptions.splice(0).map((subscription) => subscription.stop()));
    for (const { delivery } of this.#held.splice(0)) delivery.release();
    await this.#background.settled();
  }

  #onDelivery(delivery: Delivery): void {
    if (!this.#isServing) return void delivery.release();
    const notification = this.#decode(delivery);
    if (notification === undefined) return;
    const { uniqueId } = notification;
    if (uniqueId !== undefined && this.#seen.has(uniqueId)) return void delivery.accept();
    this.#held.push({ delivery, notification });
    if (this.#held.length >= this.#size) return this.#handOver();
    if (this.#held.length > 1) return;
    const { batchWaitMs = limits.notificationBatchMs } = this.#setting.options;
    this.#timer = this.#transport.clock.after(batchWaitMs, () => this.#handOver());
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

  #handOver(): void {
    this.#timer?.cancel();
    const batch = this.#held.splice(0);
    if (batch.length === 0) return;
    const turn = this.#turn.then(() => this.#handle(batch));
    this.#turn = turn;
    this.#background.run('a batch of notifications could not be settled', () => turn);
  }

  async #handle(batch: readonly Held[]): Promise<void> {
    for (const priority of new Set(batch.map(({ notification }) => notification.priority))) {
      const part = batch.filter(({ notification }) => notification.priority === priority);
      const isRequeued = isPriority(priority) && (await this.#offer(priority, part)) === 'requeue';
      for (const { delivery, notification } of part) {
        if (isRequeued && this.#setting.options.allowRequeue === true) {
          delivery.release();
          continue;
        }
        if (notification.uniqueId !== undefined) this.#seen.add(notification.uniqueId);
        delivery.accept();
      }
    }
  }

  async #offer(priority: Priority, part: readonly Held[]): Promise<NotificationOutcome> {
    const all = part.map(({ notification }) => {
      const { uniqueId: _, ...rest } = notification;
      return { ...rest, priority };
    });
    for (const [at, endpoint] of this.#setting.endpoints.entries()) {
      const wanted = all.filter((notification) => this.#wanted[at]?.(notification) === true);
      const handler = endpoint[priority];
      if (handler === undefined || wanted.length === 0) continue;
      if ((await this.#call(handler.bind(endpoint), wanted)) === 'requeue') return 'requeue';
    }
    return 'handled';
  }

  async #call(handler: BatchHandler, notifications: readonly Notification[]): Promise<NotificationOutcome> {
    try {
      return (await handler(notifications)) ?? 'handled';
    } catch (error) {
      this.#logger.error('a handler of a batch failed', { error, notifications: notifications.length });
      return 'requeue';
    }
  }
}
