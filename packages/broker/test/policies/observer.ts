import type { ChannelModel, ConfirmChannel, Message, Options } from 'amqplib';
import { setTimeout as pause } from 'node:timers/promises';

/** Does things to a broker on a channel of its own, and notes what it sees. */
export class Observer {
  readonly seen: string[] = [];
  readonly #connection: ChannelModel;
  readonly #key: string;
  #channel: ConfirmChannel | undefined;
  #held: Message | undefined;

  constructor(connection: ChannelModel, key: string) {
    this.#connection = connection;
    this.#key = key;
  }

  async queue(name: string, args: Record<string, unknown> = {}): Promise<void> {
    await this.#try('queue', (channel) => channel.assertQueue(this.#name(name), { arguments: this.#table(args) }));
  }

  async exchange(name: string, type: string, args: Record<string, unknown> = {}): Promise<void> {
    await this.#try('exchange', (channel) =>
      channel.assertExchange(this.#name(name), type, { arguments: this.#table(args) }),
    );
  }

  async bind(queue: string, exchange: string): Promise<void> {
    await this.#try('bind', (channel) => channel.bindQueue(this.#name(queue), this.#name(exchange), ''));
  }

  /** Publishes, and notes what is not confirmed. */
  async publish(queue: string, bodies: readonly string[], options: Options.Publish = {}, exchange = ''): Promise<void> {
    const channel = await this.#open();
    for (const body of bodies) {
      await new Promise<void>((resolve) => {
        channel.publish(this.#name(exchange), this.#name(queue), Buffer.from(body), options, (error: unknown) => {
          if (error !== null && error !== undefined) this.seen.push(`${body} was refused`);
          resolve();
        });
      });
    }
  }

  /** Takes and notes everything that waits, with the reasons of its deaths. */
  async drain(queue: string): Promise<void> {
    const got: string[] = [];
    for (;;) {
      const message = await this.#get(queue, true);
      if (message === undefined) break;
      got.push(shown(message));
    }
    this.seen.push(`${queue}: ${got.join(' ')}`);
  }

  /** Takes one for a later `giveBack`. */
  async hold(queue: string): Promise<void> {
    this.#held = await this.#get(queue, false);
  }

  /** Gives back, or rejects, what is held, or the next one. */
  async giveBack(queue: string, isRequeued: boolean): Promise<void> {
    const message = this.#held ?? (await this.#get(queue, false));
    this.#held = undefined;
    if (message === undefined) this.seen.push(`${queue}: nothing to give back`);
    else (await this.#open()).nack(message, false, isRequeued);
  }

  async count(queue: string): Promise<void> {
    await this.#try('count', async (channel) => {
      const { messageCount } = await channel.checkQueue(this.#name(queue));
      this.seen.push(`${queue}: ${messageCount} wait`);
    });
  }

  async wait(ms: number): Promise<void> {
    await pause(ms);
  }

  async #get(queue: string, noAck: boolean): Promise<Message | undefined> {
    const message = await (await this.#open()).get(this.#name(queue), { noAck });
    return message === false ? undefined : message;
  }

  async #try(what: string, action: (channel: ConfirmChannel) => Promise<unknown>): Promise<void> {
    try {
      await action(await this.#open());
    } catch (error) {
      this.#channel = undefined;
      this.seen.push(`${what}: ${String((error as { readonly code?: unknown }).code)}`);
    }
  }

  async #open(): Promise<ConfirmChannel> {
    if (this.#channel !== undefined) return this.#channel;
    this.#channel = await this.#connection.createConfirmChannel();
    this.#channel.on('error', () => undefined);
    return this.#channel;
  }

  #name(name: string): string {
    return name === '' ? '' : this.#key + name;
  }

  #table(args: Record<string, unknown>): Record<string, unknown> {
    const entries = Object.entries(args);
    return Object.fromEntries(
      entries.map(([name, value]) => [name, typeof value === 'string' ? value.replace('~', this.#key) : value]),
    );
  }
}

function shown({ content, properties }: Message): string {
  const deaths = (properties.headers?.['x-death'] ?? []) as { readonly reason?: unknown }[];
  return [content.toString(), ...deaths.map(({ reason }) => String(reason))].join('/');
}
