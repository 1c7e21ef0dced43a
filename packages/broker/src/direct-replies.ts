import type { Random } from '@torcello/platform';
import type { Message } from './queue/message.js';

/** The name that asks for RabbitMQ's direct reply-to: a reply queue that exists only as one channel's consumer. */
export const directReplyName = 'amq.rabbitmq.reply-to';
/** Of each of the name's two parts, which are written as RabbitMQ's are: clients of others look for that form. */
const tokenBytes = 16;

export type ReplyReceiver = (message: Message) => void;

/** The channels that wait for direct replies, by the unguessable name that a request carries. */
export class DirectReplies {
  readonly #receivers = new Map<string, ReplyReceiver>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Gives the name that answers are sent to. */
  open(receiver: ReplyReceiver): string {
    const part = (): string => Buffer.from(this.#random.bytes(tokenBytes)).toString('base64');
    const name = `${directReplyName}.${part()}.${part()}`;
    this.#receivers.set(name, receiver);
    return name;
  }

  close(name: string): void {
    this.#receivers.delete(name);
  }

  /** Who receives under this name; undefined when nobody does, or it is no such name. */
  receiver(name: string): ReplyReceiver | undefined {
    return name.startsWith(`${directReplyName}.`) ? this.#receivers.get(name) : undefined;
  }
}
