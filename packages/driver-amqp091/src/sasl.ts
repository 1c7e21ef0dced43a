import { encodeTable, typed } from '@torcello/amqp091';
import type { LoginMethod } from './settings.js';

/** The answer to the broker's offer of login mechanisms (§2.2.4; AMQPLAIN as RabbitMQ and Qpid read it). */
export function saslResponse(
  method: LoginMethod,
  credentials: { readonly username: string; readonly password: string },
): Uint8Array {
  const { username, password } = credentials;
  switch (method) {
    case 'PLAIN':
      return Buffer.from(`\0${username}\0${password}`, 'utf8');
    case 'AMQPLAIN':
      // A field table without its length.
      return encodeTable({ LOGIN: typed('S', username), PASSWORD: typed('S', password) }).subarray(4);
    case 'EXTERNAL':
      return Buffer.alloc(0);
  }
}
