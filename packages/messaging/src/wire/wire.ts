import type { IncomingMessage, OutgoingMessage } from '../driver.js';
import type { IncomingNotification, Notification, NotificationFormat } from '../notify/notification.js';
import type { Request } from '../rpc/request.js';
import type { Reply } from './reply.js';

/** What a wire decides of a message; where it goes and how it is handled is its sender's business. */
export type WireMessage = Pick<
  OutgoingMessage,
  'body' | 'properties' | 'headers' | 'persistent' | 'bodyAs' | 'expiresMs'
>;

export type OutgoingReply = Reply & {
  readonly uniqueId: string;
  /** For signs of life: how long the caller waits for the next one. */
  readonly monitorMs?: number | undefined;
};

/**
 * One of oslo.messaging's ways to write its messages. The readers throw UNDECODABLE. Every transport has one, and RPC and
 * notifications know no other difference between transports.
 */
export interface Wire {
  request(request: Request): WireMessage;
  readRequest(message: IncomingMessage): Request;
  reply(reply: OutgoingReply): WireMessage;
  readReply(message: IncomingMessage): Reply;
  notification(
    notification: Notification,
    options: { readonly uniqueId: string; readonly format: NotificationFormat },
  ): WireMessage;
  readNotification(message: IncomingMessage): IncomingNotification;
}
