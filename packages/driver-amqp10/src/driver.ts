import { readFile } from 'node:fs/promises';
import {
  MessagingError,
  type ConnectOptions,
  type Driver,
  type DriverConnection,
  type TransportUrl,
} from '@torcello/messaging';
import type { TlsOptions } from '@torcello/platform';
import { Addresses, type AddressingMode } from './addresses.js';
import { Amqp10Connection } from './driver-connection.js';
import { Engine, type Peer } from './engine.js';
import { connectionLost } from './errors.js';
import { profileOf, profiles } from './profiles/profiles.js';
import type { Profile } from './profiles/profile.js';
import { readSettings, schemes, type Amqp10Host, type Amqp10Settings } from './settings.js';

export interface Amqp10DriverOptions {
  /** Trust and client certificate, as PEM text. The URL's `ssl_…_file` options win over it. */
  readonly tls?: TlsOptions;
}

/** The driver for AMQP 1.0 (ISO 19464): Qpid, Artemis, RabbitMQ 4 and whoever else speaks it, each by its profile. */
export function amqp10Driver(options: Amqp10DriverOptions = {}): Driver {
  return {
    schemes: Object.keys(schemes),
    connect: (url, connectOptions) => connect(url, connectOptions, options),
  };
}

async function connect(
  url: TransportUrl,
  options: ConnectOptions,
  driver: Amqp10DriverOptions,
): Promise<DriverConnection> {
  const settings = readSettings(url);
  const tls = settings.isTls ? await tlsOptions(settings, driver.tls) : undefined;
  const failures: { readonly host: Amqp10Host; readonly error: MessagingError }[] = [];
  for (const host of settings.hosts) {
    try {
      return await dialHost({ host, settings, tls, options });
    } catch (error) {
      if (!(error instanceof MessagingError) || error.code === 'ABORTED') throw error;
      options.logger.debug('a host could not be reached', { host: host.host, port: host.port, error });
      failures.push({ host, error });
    }
  }
  throw allFailed(failures);
}

interface Dial {
  readonly host: Amqp10Host;
  readonly settings: Amqp10Settings;
  readonly tls: TlsOptions | undefined;
  readonly options: ConnectOptions;
}

/** Dials one host and shakes hands, both within the connect timeout. */
async function dialHost(dial: Dial): Promise<DriverConnection> {
  const { clock, signal, connectTimeoutMs } = dial.options;
  const { host, port } = dial.host;
  const giveUp = new AbortController();
  const onAbort = (): void => giveUp.abort(signal?.reason);
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const timeout = clock.after(connectTimeoutMs, () => giveUp.abort());
  try {
    return await shake(dial, giveUp.signal);
  } catch (cause) {
    if (signal?.aborted === true) {
      throw new MessagingError('ABORTED', 'connecting was given up', { cause: signal.reason });
    }
    if (cause instanceof MessagingError && cause.code === 'LOGIN_REFUSED') throw cause;
    const why = giveUp.signal.aborted ? `no answer within ${connectTimeoutMs} ms` : textOf(cause);
    throw new MessagingError('CONNECT_FAILED', `cannot connect to ${host}:${port}: ${why}`, {
      cause,
      details: { host, port },
    });
  } finally {
    timeout.cancel();
    signal?.removeEventListener('abort', onAbort);
  }
}

async function shake({ host, settings, tls, options }: Dial, signal: AbortSignal): Promise<DriverConnection> {
  const { clock, random, heartbeatMs, connectionName } = options;
  const stream = await options.network.dial(host, { signal, ...(tls === undefined ? {} : { tls }) });
  const engine = new Engine(stream, {
    host,
    login: settings.login ?? (host.username === undefined ? 'ANONYMOUS' : 'PLAIN'),
    hostname: openHostname(host, settings),
    idleTimeoutMs: heartbeatMs,
    frameSizeBytesMax: settings.frameSizeBytesMax,
    connectionName,
    clock,
    random,
  });
  const onAbort = (): void => engine.lose(connectionLost('the handshake was given up'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const peer = await engine.open();
    const profile =
      settings.profile === undefined ? profileOf({ ...peer, host: host.host }) : profiles[settings.profile];
    return new Amqp10Connection({ engine, profile, addresses: addresses(profile, peer, settings), clock });
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The name in Open is needed before the peer has said who it is: RabbitMQ's way where the URL names its profile. */
function openHostname(host: Amqp10Host, settings: Amqp10Settings): string {
  const { vhost, profile } = settings;
  if (vhost === undefined) return host.host;
  const rule = profile === undefined ? undefined : profiles[profile].vhost;
  if (rule?.in === 'hostname') return `${rule.prefix}${vhost}`;
  return settings.isVhostInAddresses ? host.host : vhost;
}

function addresses(profile: Profile, peer: Peer, settings: Amqp10Settings): Addresses {
  // oslo's rule for `dynamic` (oslo (b)).
  const dynamic: AddressingMode = peer.product === '' || peer.product === 'qpid-cpp' ? 'legacy' : 'routable';
  const known = profile.name.startsWith('rabbitmq') ? 'legacy' : dynamic;
  const mode = settings.addressing === 'dynamic' ? known : settings.addressing;
  const isInAddress = profile.vhost.in === 'address' && settings.isVhostInAddresses;
  return new Addresses(profile, mode, isInAddress ? settings.vhost : undefined);
}

/** Files are read for every connection, so that a renewed certificate is used from the next one on. */
async function tlsOptions(settings: Amqp10Settings, given: TlsOptions | undefined): Promise<TlsOptions> {
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

function allFailed(failures: readonly { readonly host: Amqp10Host; readonly error: MessagingError }[]): MessagingError {
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
