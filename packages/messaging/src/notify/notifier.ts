import { hexId } from '@torcello/platform';
import type { OutgoingMessage, Topology } from '../driver.js';
import { isMessagingError } from '../errors.js';
import { addTrace } from '../rpc/call-scope.js';
import type { OperationOptions, PublishOptions, Transport } from '../transport/transport.js';
import { notificationTopology, type Notification, type NotificationFormat, type Priority } from './notification.js';

export interface NotifierOptions extends OperationOptions {
  /** Who speaks, as in `compute.host1`. */
  readonly publisherId: string;
  /** Each notification goes to every topic. Default `notifications`. */
  readonly topics?: readonly string[];
  /** Default `openstack`. */
  readonly exchange?: string;
  /** Default `v2`. */
  readonly format?: NotificationFormat;
}

/**
 * Resolves with the broker's confirm: from then on the notification waits for its listeners, also for ones that were
 * never there yet. Rejects as `Transport.publish` does; several topics are tried all, and the first failure is told.
 */
export type Notify = (
  eventType: string,
  payload: unknown,
  context?: Readonly<Record<string, unknown>>,
) => Promise<void>;

/** Tells whom it may concern what happened; the method is the priority. */
export type Notifier = Readonly<Record<Priority, Notify>>;

/** A notifier, speaking for one publisher. */
export function notifier(transport: Transport, options: NotifierOptions): Notifier {
  const sender = new NotificationSender(transport, options);
  const notify =
    (priority: Priority): Notify =>
    (eventType, payload, context = {}) =>
      sender.send({ priority, eventType, payload, context });
  return {
    audit: notify('audit'),
    debug: notify('debug'),
    info: notify('info'),
    warn: notify('warn'),
    error: notify('error'),
    critical: notify('critical'),
    sample: notify('sample'),
  };
}

class NotificationSender {
  readonly #transport: Transport;
  readonly #options: NotifierOptions;
  readonly #publishing: PublishOptions;
  /** Queues that this notifier makes sure of, so that what it sends waits for its listeners; true: it has. */
  readonly #ensured = new Map<string, Promise<void> | true>();
  readonly #topologies = new Map<Priority, readonly Topology[]>();

  constructor(transport: Transport, options: NotifierOptions) {
    this.#transport = transport;
    this.#options = options;
    // Listeners drop a double by its unique id.
    this.#publishing = { ...options, resend: true };
  }

  async send(content: Pick<Notification, 'priority' | 'eventType' | 'payload' | 'context'>): Promise<void> {
    const { publisherId } = this.#options;
    const { random, clock } = this.#transport;
    const timestamp = pythonTimestamp(clock.now());
    const notification: Notification = { ...content, publisherId, timestamp, messageId: random.uuid() };
    const topologies = this.#topologiesOf(content.priority);
    const [only, ...others] = topologies;
    if (only !== undefined && others.length === 0) return this.#sendTo(only, notification);
    const sends = topologies.map((topology) => this.#sendTo(topology, notification));
    const failed = (await Promise.allSettled(sends)).find((outcome) => outcome.status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  #topologiesOf(priority: Priority): readonly Topology[] {
    const { topics = ['notifications'], exchange } = this.#options;
    const known = this.#topologies.get(priority);
    const topologies = known ?? topics.map((topic) => notificationTopology(topic, priority, exchange));
    if (known === undefined) this.#topologies.set(priority, topologies);
    return topologies;
  }

  async #sendTo(topology: Topology, notification: Notification): Promise<void> {
    const { format = 'v2' } = this.#options;
    const uniqueId = hexId(this.#transport.random);
    const wired = this.#transport.wire.notification(notification, { uniqueId, format });
    const headers: Record<string, unknown> = { ...wired.headers };
    addTrace(headers, this.#transport.random);
    const message: OutgoingMessage = { ...wired, headers, ifNobody: 'fail' };
    const ensured = this.#ensure(topology);
    if (ensured !== true) await ensured;
    try {
      await this.#publish(topology, message);
    } catch (error) {
      if (!isMessagingError(error, 'UNROUTABLE')) throw error;
      // Somebody deleted the queue meanwhile.
      this.#ensured.delete(topology.source.queue);
      await this.#ensure(topology);
      await this.#publish(topology, message);
    }
  }

  #publish({ source, reachedBy }: Topology, message: OutgoingMessage): Promise<void> {
    const [destination = { exchange: '', routingKey: source.queue }] = reachedBy;
    return this.#transport.publish(destination, message, this.#publishing);
  }

  #ensure(topology: Topology): Promise<void> | true {
    const { queue } = topology.source;
    const known = this.#ensured.get(queue);
    if (known !== undefined) return known;
    const ensured = this.#transport.ensure(topology, this.#options);
    this.#ensured.set(queue, ensured);
    ensured.then(
      () => this.#ensured.set(queue, true),
      () => this.#ensured.delete(queue),
    );
    return ensured;
  }
}

/** `2026-01-02 03:04:05.678000`, UTC. */
function pythonTimestamp(nowMs: number): string {
  return new Date(nowMs).toISOString().replace('T', ' ').replace('Z', '000');
}
