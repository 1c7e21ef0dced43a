import { MessagingError, type TransportUrl } from '@torcello/messaging';
import { driverLimits } from './limits.js';
import type { ProfileName } from './profiles/profile.js';
import { profiles } from './profiles/profiles.js';

/** A transport URL as this driver understands it. */
export interface Amqp10Settings {
  readonly hosts: readonly Amqp10Host[];
  /** The URL's path; undefined when it has none or an empty one. */
  readonly vhost: string | undefined;
  readonly isTls: boolean;
  /** `none`: no SASL layer at all, as some peers want it. */
  readonly login: LoginMethod | undefined;
  readonly tlsFiles: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly tlsServerName: string | undefined;
  readonly frameSizeBytesMax: number;
  /** Undefined: by what the peer says of itself. */
  readonly profile: ProfileName | undefined;
  readonly addressing: 'legacy' | 'routable' | 'dynamic';
  /** The vhost stands in addresses, where the profile does so; false: in Open's hostname. */
  readonly isVhostInAddresses: boolean;
}
export interface Amqp10Host {
  readonly host: string;
  readonly port: number;
  readonly username: string | undefined;
  readonly password: string;
}
export type LoginMethod = 'PLAIN' | 'ANONYMOUS' | 'EXTERNAL' | 'none';

/** URL schemes and the port each stands for. */
export const schemes: Readonly<Record<string, { readonly port: number; readonly isTls: boolean }>> = {
  amqp1: { port: 5672, isTls: false },
  amqp1s: { port: 5671, isTls: true },
};

/** Every query option that the driver reads. `addressing_mode` and `pseudo_vhost` are oslo.messaging's own. */
export const urlOptions: ReadonlySet<string> = new Set([
  'profile',
  'addressing_mode',
  'pseudo_vhost',
  'sasl_mechanism',
  'ssl_ca_file',
  'ssl_cert_file',
  'ssl_key_file',
  'ssl_server_name',
  'max_frame_size',
]);

const frameSizeBytesLeast = 512;

/**
 * Reads the URL's hosts and options.
 * @throws MessagingError INVALID_URL for an option that the driver does not know or cannot honour.
 */
export function readSettings(url: TransportUrl): Amqp10Settings {
  const scheme = schemes[url.scheme];
  if (scheme === undefined) throw invalid(`"${url.scheme}:" is no AMQP 1.0 address`);
  for (const name of url.options.keys()) {
    if (!urlOptions.has(name)) throw invalid(`there is no option "${name}"; there are: ${[...urlOptions].join(', ')}`);
  }
  const none = { host: 'localhost', port: undefined, username: undefined, password: undefined };
  return {
    hosts: (url.hosts.length === 0 ? [none] : url.hosts).map((host) => ({
      host: host.host,
      port: host.port ?? scheme.port,
      username: host.username,
      password: host.password ?? '',
    })),
    vhost: url.vhost === '' ? undefined : url.vhost,
    isTls: scheme.isTls,
    login: oneOf(url, 'sasl_mechanism', ['PLAIN', 'ANONYMOUS', 'EXTERNAL', 'none'], undefined),
    tlsFiles: tlsFiles(url),
    tlsServerName: url.options.get('ssl_server_name'),
    frameSizeBytesMax: frameSize(url),
    profile: oneOf(url, 'profile', Object.keys(profiles) as ProfileName[], undefined),
    addressing: oneOf(url, 'addressing_mode', ['legacy', 'routable', 'dynamic'], undefined) ?? 'dynamic',
    isVhostInAddresses: (oneOf(url, 'pseudo_vhost', ['true', 'false'], undefined) ?? 'true') === 'true',
  };
}

function oneOf<T extends string>(
  url: TransportUrl,
  name: string,
  allowed: readonly T[],
  otherwise: T | undefined,
): T | undefined {
  const value = url.options.get(name);
  if (value === undefined) return otherwise;
  const found = allowed.find((candidate) => candidate.toLowerCase() === value.toLowerCase());
  if (found === undefined) throw invalid(`${name} is ${allowed.join(', ')}, not "${value}"`);
  return found;
}

function tlsFiles({ options }: TransportUrl): Amqp10Settings['tlsFiles'] {
  const [ca, cert, key] = ['ca', 'cert', 'key'].map((part) => options.get(`ssl_${part}_file`));
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function frameSize({ options }: TransportUrl): number {
  const text = options.get('max_frame_size');
  if (text === undefined) return driverLimits.frameSizeBytesMax;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= frameSizeBytesLeast)) throw invalid(`max_frame_size is a whole number from ${frameSizeBytesLeast}`);
  return value;
}

function invalid(why: string): MessagingError {
  return new MessagingError('INVALID_URL', `the transport URL cannot be used: ${why}`);
}
