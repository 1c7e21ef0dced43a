import { deflateSync } from 'node:zlib';
import type { Wire, WireMessage } from './wire.js';

/** Writes bodies as kombu does with `kombu_compression=gzip`: a zlib stream under the name of gzip (oslo 1.3). */
export function compressed(wire: Wire): Wire {
  return {
    ...wire,
    request: (request) => compress(wire.request(request)),
    reply: (reply) => compress(wire.reply(reply)),
    notification: (notification, options) => compress(wire.notification(notification, options)),
  };
}

function compress(message: WireMessage): WireMessage {
  if (message.bodyAs !== undefined && message.bodyAs !== 'bytes') return message;
  const headers = { ...message.headers, compression: 'application/x-gzip' };
  return { ...message, body: deflateSync(message.body), headers };
}
