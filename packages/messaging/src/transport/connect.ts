import { silentLogger, systemClock, systemNetwork, systemRandom } from '@torcello/platform';
import type { Capabilities, ConnectOptions, Driver, DriverConnection } from '../driver.js';
import { MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { describeTransportUrl, parseTransportUrl, type TransportUrl } from '../transport-url.js';
import { ReconnectingTransport } from './reconnecting-transport.js';
import type { Transport, TransportOptions } from './transport.js';

/**
 * Connects to the broker that the URL names. Resolves with the first connection, which is tried with growing waits
 * until it stands, the signal is aborted, or an error comes that trying again cannot mend.
 * @throws INVALID_URL, LOGIN_REFUSED, CAPABILITY_MISSING, ABORTED.
 */
export async function connect(url: string, options: TransportOptions): Promise<Transport> {
  const parsed = parseTransportUrl(url);
  const driver = driverFor(parsed, options.drivers);
  const world: Omit<ConnectOptions, 'signal'> = {
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    network: options.network ?? systemNetwork,
    logger: options.logger ?? silentLogger,
    heartbeatMs: options.heartbeatMs ?? limits.heartbeatMs,
    connectTimeoutMs: options.connectTimeoutMs ?? limits.connectTimeoutMs,
    ...(options.connectionName === undefined ? {} : { connectionName: options.connectionName }),
  };
  const transport = new ReconnectingTransport({
    ...world,
    isCompressing: options.compression === 'gzip',
    dial: (signal) => driver.connect(parsed, { ...world, signal }),
  });
  await transport.start(options.signal, (connection) => demand(connection, options.needs ?? [], parsed));
  return transport;
}

function driverFor(url: TransportUrl, drivers: readonly Driver[]): Driver {
  const driver = drivers.find(({ schemes }) => schemes.includes(url.scheme));
  if (driver !== undefined) return driver;
  const known = drivers.flatMap(({ schemes }) => schemes).join(', ');
  throw new MessagingError('INVALID_URL', `no driver answers to "${url.scheme}:"; there are: ${known}`);
}

function demand(connection: DriverConnection, needs: readonly (keyof Capabilities)[], url: TransportUrl): void {
  const { capabilities } = connection;
  const missing = needs.filter((need) => capabilities[need] === false || capabilities[need] === 0);
  if (missing.length === 0) return;
  const rows = needs.map((need) => `  ${need.padEnd(20)} ${missing.includes(need) ? 'missing' : 'there'}`);
  const message = `${describeTransportUrl(url)} cannot do what this program needs:\n${rows.join('\n')}`;
  throw new MessagingError('CAPABILITY_MISSING', message, { details: { missing, capabilities } });
}
