import { readFile } from 'node:fs/promises';
import type { TlsOptions } from '@torcello/platform';
import {
  MessagingError,
  type ConnectOptions,
  type Driver,
  type DriverConnection,
  type TransportUrl,
} from '@torcello/messaging';
import { AmqpConnection } from './amqp-connection.js';
import { connectionLost } from './broker-errors.js';
import { brokerProfile } from './broker-profile.js';
import { Amqp091Connection } from './driver-connection.js';
import { FrameStream } from './frame-stream.js';
import { handshake } from './handshake.js';
import { driverLimits } from './limits.js';
import { readSettings, schemes, type AmqpHost, type AmqpSettings } from './settings.js';

export interface Amqp091DriverOptions {
  /** Trust and client certificate, as PEM text. The URL's `ssl_…_file` options win over it. */
  readonly tls?: TlsOptions;
}

/** The driver for RabbitMQ, LavinMQ and the embedded broker: AMQP 0-9-1 over TCP, TLS or any byte stream. */
export function amqp091Driver(options: Amqp091DriverOptions = {}): Driver {
  return {
    schemes: Object.keys(schemes),
    connect: (url, connectOptions) => connect(url, connectOptions, options),
  };
}

async function connect(
  url: TransportUrl,
  options: ConnectOptions,
  driver: Amqp091DriverOptions,
): Promise<DriverConnection> {
  const settings = readSettings(url, { frameSizeBytesMax: driverLimits.frameSizeBytesMax });
  const tls = await tlsOptions(settings, driver.tls);
  const failures: { readonly host: AmqpHost; readonly error: MessagingError }[] = [];
  for (const host of settings.hosts) {
    const dial = (signal: AbortSignal | undefined): Promise<AmqpConnection> =>
      dialHost({ host, settings, tls, options: { ...options, ...(signal === undefined ? {} : { signal }) } });
    try {
      const main = await dial(options.signal);
      const profile = brokerProfile(main.agreement.serverProperties, settings.topology);
      const { clock } = options;
      return new Amqp091Connection({ main, dialAgain: dial, profile, topology: settings.topology, clock });
    } catch (error) {
      if (!(error instanceof MessagingError) || error.code === 'ABORTED') throw error;
      options.logger.debug('a host could not be reached', { host: host.host, port: host.port, error });
      failures.push({ host, error });
    }
  }
  throw allFailed(failures);
}

interface Dial {
  readonly host: AmqpHost;
  readonly settings: AmqpSettings;
  readonly tls: TlsOptions | undefined;
  readonly options: ConnectOptions;
}

/** Dials one host and shakes hands, both within the connect timeout. */
async function dialHost({ host, settings, tls, options }: Dial): Promise<AmqpConnection> {
  const { clock, signal, connectTimeoutMs } = options;
  const giveUp = new AbortController();
  const onAbort = (): void => giveUp.abort(signal?.reason);
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const timeout = clock.after(connectTimeoutMs, () => giveUp.abort());
  try {
    return await shake({ host, settings, tls, options }, giveUp.signal);
  } catch (cause) {
    if (signal?.aborted === true)
      throw new MessagingError('ABORTED', 'connecting was given up', { cause: signal.reason });
    if (cause instanceof MessagingError && cause.code === 'LOGIN_REFUSED') throw cause;
    const why = giveUp.signal.aborted ? `no answer within ${connectTimeoutMs} ms` : textOf(cause);
    const text = `cannot connect to ${host.host}:${host.port}: ${why}`;
    throw new MessagingError('CONNECT_FAILED', text, { cause, details: { host: host.host, port: host.port } });
  } finally {
    timeout.cancel();
    signal?.removeEventListener('abort', onAbort);
  }
}

async function shake({ host, settings, tls, options }: Dial, signal: AbortSignal): Promise<AmqpConnection> {
  const stream = new FrameStream(await options.network.dial(host, { signal, ...(tls === undefined ? {} : { tls }) }));
  const onAbort = (): void => stream.destroy(connectionLost('the handshake was given up'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const agreement = await handshake(stream, {
      username: host.username,
      password: host.password,
      login: settings.login,
      vhost: settings.vhost,
      frameSizeBytesMax: settings.frameSizeBytesMax,
      heartbeatSeconds: Math.ceil(options.heartbeatMs / 1000),
      connectionName: options.connectionName,
    });
    return new AmqpConnection(stream, agreement, options.clock);
  } catch (error) {
    stream.destroy(connectionLost('the handshake failed', error));
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Files are read for every connection, so that a renewed certificate is used from the next one on. */
async function tlsOptions(settings: AmqpSettings, given: TlsOptions | undefined): Promise<TlsOptions | undefined> {
  if (!settings.isTls) return undefined;
  const { ca, cert, key } = settings.tlsFiles;
  const read = async (file: string | undefined): Promise<string | undefined> =>
    file === undefined ? undefined : readPem(file);
  const [caText, certText, keyText] = await Promise.all([read(ca), read(cert), read(key)]);
  return {
    ...given,
    ...(caText === undefined ? {} : { ca: caText }),
    ...(certText === undefined ? {} : { cert: certText }),
    ...(keyText === undefined ? {} : { key: keyText }),
    ...(settings.tlsServerName === undefined ? {} : { serverName: settings.tlsServerName }),
  };
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new MessagingError('INVALID_URL', `the file ${file} of the transport URL cannot be read`, { cause });
  }
}

function allFailed(failures: readonly { readonly host: AmqpHost; readonly error: MessagingError }[]): MessagingError {
  const [first] = failures;
  if (first !== undefined && failures.every(({ error }) => error.code === 'LOGIN_REFUSED')) return first.error;
  if (first !== undefined && failures.length === 1) return first.error;
  const text = failures.map(({ error }) => error.message).join('; ');
  const hosts = failures.map(({ host, error }) => ({ host: host.host, port: host.port, code: error.code }));
  return new MessagingError('CONNECT_FAILED', text, { cause: first?.error, details: { hosts } });
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
