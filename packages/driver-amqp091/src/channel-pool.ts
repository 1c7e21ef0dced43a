import type { AmqpConnection } from './amqp-connection.js';
import type { Channel } from './channel.js';
import { driverLimits } from './limits.js';

/** Channels for single operations: each operation has one to itself, so an error hits only who caused it. */
export class ChannelPool {
  readonly #connection: AmqpConnection;
  readonly #idle: Channel[] = [];

  constructor(connection: AmqpConnection) {
    this.#connection = connection;
  }

  /** Takes a healthy channel, or opens one. */
  async take(): Promise<Channel> {
    for (let channel = this.#idle.pop(); channel !== undefined; channel = this.#idle.pop()) {
      if (channel.isOpen) return channel;
    }
    return this.#connection.openChannel();
  }

  /** Gives a channel back, with nothing under way on it; one that is over is dropped. */
  async give(channel: Channel): Promise<void> {
    channel.listen({});
    if (!channel.isOpen) return;
    if (this.#idle.length >= driverLimits.idleChannelsMax) return channel.close();
    this.#idle.push(channel);
  }
}
