import { hexId, silentLogger, systemClock, systemNetwork, systemRandom, type Network } from '@torcello/platform';
import type { Delivery, Driver, DriverConnection, Source, Topology, TopologyOptions } from '../driver.js';
import { parseTransportUrl } from '../transport-url.js';
import { connect } from '../transport/connect.js';
import type { Transport } from '../transport/transport.js';
import { within } from './expect.js';

/** What a transport's test file hands in: a driver and a broker to reach by it. */
export interface Subject {
  /** In the titles of the tests, as `memory` or `RabbitMQ 3.10`. */
  readonly name: string;
  readonly driver: Driver;
  /** Its queues are made with names of their own; nothing else of the broker is touched. */
  readonly url: string;
  readonly network?: Network;
  /** Breaks every open connection to the broker, as a cable cut does. Without it the sentences about that are skipped. */
  readonly cut?: () => void | Promise<void>;
}

/** One sentence's view of the subject: everything it opens is closed again, and nothing may be left unsettled. */
export class Harness {
  readonly #subject: Subject;
  readonly #connections: DriverConnection[] = [];
  readonly #transports: Transport[] = [];
  readonly #made = new Set<string>();
  readonly #handedOut = new Set<Delivery>();
  readonly #endings: (() => Promise<void>)[] = [];

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  /** A raw connection of the driver. */
  async open(): Promise<DriverConnection> {
    const { driver, url, network = systemNetwork } = this.#subject;
    const connection = await driver.connect(parseTransportUrl(url), {
      heartbeatMs: 10_000,
      connectTimeoutMs: 5_000,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      network,
    });
    this.#connections.push(connection);
    return connection;
  }

  /** A transport over the driver. */
  async connect(): Promise<Transport> {
    const { driver, url, network = systemNetwork } = this.#subject;
    const transport = await connect(url, { drivers: [driver], network });
    this.#transports.push(transport);
    return transport;
  }

  async cut(): Promise<void> {
    await this.#subject.cut?.();
  }

  /** A name that nobody else uses; a queue of this name is deleted in the end. */
  name(word: string): string {
    const name = `conformance.${word}.${hexId(systemRandom).slice(0, 12)}`;
    this.#made.add(name);
    return name;
  }

  /** Another queue to be deleted in the end. */
  made(queue: string): string {
    this.#made.add(queue);
    return queue;
  }

  /** A mailbox of its own, not made yet. */
  mailbox(options: TopologyOptions = {}): Topology {
    return { kind: 'mailbox', source: { queue: this.name('mailbox') }, reachedBy: [], options };
  }

  /** The oldest delivery, waited for; takes exactly one and keeps no consumer. */
  async next(connection: DriverConnection, source: Source): Promise<Delivery> {
    let take: (delivery: Delivery) => void = () => undefined;
    const first = new Promise<Delivery>((resolve) => (take = resolve));
    const consumer = await connection.consume(source, 1, (delivery) => take(delivery));
    const delivery = await within(first, `a delivery from ${source.queue}`);
    await consumer.stop();
    return this.track(delivery);
  }

  /** Resolves when so many messages wait in the queue; asks again and again, because a broker offers nothing better. */
  async untilWaiting(connection: DriverConnection, source: Source, count: number): Promise<void> {
    const asking = async (): Promise<void> => {
      while ((await connection.inspect(source)).messages !== count);
    };
    await within(asking(), `${count} messages in ${source.queue}`);
  }

  /** Whatever is handed out through here has to be settled when the sentence ends. */
  track(delivery: Delivery): Delivery {
    const tracked: Delivery = {
      ...delivery,
      accept: () => this.#settle(tracked, () => delivery.accept()),
      release: () => this.#settle(tracked, () => delivery.release()),
      reject: () => this.#settle(tracked, () => delivery.reject()),
    };
    this.#handedOut.add(tracked);
    return tracked;
  }

  /** Runs before the transports are closed, the latest first. */
  atEnd(ending: () => Promise<void>): void {
    this.#endings.unshift(ending);
  }

  /** Closes and deletes what the sentence left behind. @throws Error when a delivery was left unsettled. */
  async finish(): Promise<void> {
    for (const ending of this.#endings) await ending();
    await Promise.all(this.#transports.map((transport) => transport.close()));
    const cleaner = await this.open();
    if (cleaner.capabilities.administers) {
      for (const queue of this.#made) await cleaner.delete({ queue });
    }
    await Promise.all(this.#connections.map((connection) => connection.close()));
    if (this.#handedOut.size > 0) throw new Error(`${this.#handedOut.size} deliveries were left unsettled`);
  }

  #settle(delivery: Delivery, action: () => boolean): boolean {
    this.#handedOut.delete(delivery);
    return action();
  }
}
