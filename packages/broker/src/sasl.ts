import { decodeTable } from '@torcello/amqp091';
import { AmqpError } from './amqp-error.js';

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

const readers: Readonly<Record<string, (response: Uint8Array) => Credentials>> = {
  PLAIN: readPlain,
  AMQPLAIN: readAmqplain,
};

/** The login mechanisms that the broker offers, in order of preference. */
export const mechanisms: readonly string[] = Object.keys(readers);

/** The mechanism of a client whose certificate says who it is. */
export const externalMechanism = 'EXTERNAL';

/** Name and password from a login's answer. @throws SYNTAX_ERROR; ACCESS_REFUSED for a mechanism that is not offered. */
export function readCredentials(mechanism: string, response: Uint8Array): Credentials {
  const read = Object.hasOwn(readers, mechanism) ? readers[mechanism] : undefined;
  if (read === undefined) throw new AmqpError('ACCESS_REFUSED', `login mechanism '${mechanism}' is not offered`);
  return read(response);
}

/** RFC 4616: authorization identity, name and password between zero bytes. */
function readPlain(response: Uint8Array): Credentials {
  const [, user, password, ...more] = Buffer.from(response).toString('utf8').split('\0');
  if (user === undefined || password === undefined || more.length > 0) throw invalid('PLAIN');
  return { user, password };
}

/** A field table without its length in front, as kombu and RabbitMQ's own clients send it. */
function readAmqplain(response: Uint8Array): Credentials {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(response.length);
  const table = decodeTable(Buffer.concat([length, response]));
  const { LOGIN: user, PASSWORD: password } = table;
  if (typeof user !== 'string' || typeof password !== 'string') throw invalid('AMQPLAIN');
  return { user, password };
}

function invalid(mechanism: string): AmqpError {
  return new AmqpError('SYNTAX_ERROR', `the ${mechanism} login cannot be read`);
}
