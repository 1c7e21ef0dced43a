import type { DriverConnection } from '../driver.js';
import { amqp1Wire } from './amqp1-wire.js';
import { rabbitWire } from './rabbit-wire.js';
import type { Wire } from './wire.js';

/** The wire of a connection. */
export function wireOf(connection: DriverConnection): Wire {
  return connection.wire === 'amqp1' ? amqp1Wire : rabbitWire;
}
