import {
  parseTransportUrl,
  type ConnectOptions,
  type DriverConnection,
  type OutgoingMessage,
} from '@torcello/messaging';
import { silentLogger, systemClock, systemNetwork, systemRandom } from '@torcello/platform';
import { amqp10Driver } from '../../src/index.js';

/** What the tests hand to the driver, unless they say otherwise. */
export const worldOptions: ConnectOptions = {
  heartbeatMs: 10_000,
  connectTimeoutMs: 10_000,
  clock: systemClock,
  random: systemRandom,
  network: systemNetwork,
  logger: silentLogger,
};

export function open(url: string, options: Partial<ConnectOptions> = {}): Promise<DriverConnection> {
  return amqp10Driver().connect(parseTransportUrl(url), { ...worldOptions, ...options });
}

export function message(body: string | Uint8Array, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return { body: bytes, properties: {}, headers: {}, persistent: true, ifNobody: 'fail', ...more };
}

export function text(body: Uint8Array): string {
  return Buffer.from(body).toString();
}
