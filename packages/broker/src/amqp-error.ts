import { replyCodes } from '@torcello/amqp091';
import type { ReplyName } from '@torcello/amqp091';

/**
 * A refusal that the client is told, without the method that it was about: the channel that catches it knows that one.
 * Its radius is the one of the reply code, unless a limit of one channel (506) shall not hurt the whole connection.
 */
export class AmqpError extends Error {
  readonly reply: ReplyName;
  readonly radius: 'channel' | 'connection';

  constructor(reply: ReplyName, text: string, radius?: 'channel' | 'connection') {
    super(text);
    this.name = 'AmqpError';
    this.reply = reply;
    this.radius = radius ?? (replyCodes[reply].radius === 'channel' ? 'channel' : 'connection');
  }

  get replyCode(): number {
    return replyCodes[this.reply].code;
  }

  /** `REPLY_NAME - text`, the form that clients of RabbitMQ know. */
  get replyText(): string {
    return `${this.reply} - ${this.message}`;
  }
}

/** A text cut to what a short string holds, never inside a character (AMQP 0-9-1 §4.2.5.3). */
export function shortText(text: string, bytesMax = 255): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return text;
  let end = bytesMax;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
