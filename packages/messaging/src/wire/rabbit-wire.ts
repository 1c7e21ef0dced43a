import { decodeNotification, encodeNotification } from '../notify/notification.js';
import { decodeRequest, encodeRequest } from '../rpc/request.js';
import { jsonProperties } from './envelope.js';
import { decodeReply, encodeReply } from './reply.js';
import type { Wire, WireMessage } from './wire.js';

/** oslo.messaging over RabbitMQ (oslo (a)): everything stands in the body, in an envelope. */
export const rabbitWire: Wire = {
  request: (request) => withBody(encodeRequest(request)),
  readRequest: decodeRequest,
  reply: (reply) => withBody(encodeReply(reply)),
  readReply: decodeReply,
  notification: (notification, options) => withBody(encodeNotification(notification, options)),
  readNotification: decodeNotification,
};

function withBody(body: Uint8Array): WireMessage {
  return { body, properties: jsonProperties, headers: {}, persistent: true };
}
