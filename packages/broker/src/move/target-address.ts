import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { MoveRefused } from './target-error.js';

/** Where a move goes to. */
export interface TargetAddress {
  readonly host: string;
  readonly port: number;
  /** Undefined: without TLS. */
  readonly tls: TargetTls | undefined;
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
}

export interface TargetTls {
  /** PEM certificates to trust instead of the system's. */
  readonly authorities?: string;
  readonly certificate?: string;
  readonly key?: string;
  /** The name that the target's certificate must carry, where it is not the host's. */
  readonly serverName?: string;
}

const [amqpPort, amqpsPort] = [5672, 5671];
const schemes = new Map([
  ['amqp:', false],
  ['rabbit:', false],
  ['amqps:', true],
]);
const usage = 'move needs --to amqp://USER:PASSWORD@HOST:PORT/VHOST (or amqps://)';
const tlsFiles = { ssl_ca_file: 'authorities', ssl_cert_file: 'certificate', ssl_key_file: 'key' } as const;

/** Reads what `--to` says; its query has the words of the programs' transport URLs. @throws MoveRefused. */
export function targetFrom(text: string): TargetAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isTlsByScheme = url === undefined ? undefined : schemes.get(url.protocol);
  if (url === undefined || isTlsByScheme === undefined || url.hostname === '') throw new MoveRefused(usage);
  const isTls = isTlsByScheme || ['1', 'true'].includes(url.searchParams.get('ssl') ?? '');
  try {
    return {
      host: url.hostname.replaceAll(/[[\]]/g, ''),
      port: url.port === '' ? (isTls ? amqpsPort : amqpPort) : Number(url.port),
      tls: isTls ? tlsFrom(url.searchParams) : undefined,
      user: decodeURIComponent(url.username) || 'guest',
      password: decodeURIComponent(url.password) || 'guest',
      vhost: decodeURIComponent(url.pathname.slice(1)) || '/',
    };
  } catch (error) {
    if (error instanceof URIError) throw new MoveRefused(`--to is not well encoded: ${error.message}`);
    throw error;
  }
}

/** A target as it may be shown: without its password. */
export function shownTarget({ host, port, tls, user, vhost }: TargetAddress): string {
  const place = host.includes(':') ? `[${host}]` : host;
  return `${tls === undefined ? 'amqp' : 'amqps'}://${encodeURIComponent(user)}@${place}:${port}/${encodeURIComponent(vhost)}`;
}

export function tlsConnection({ host, port, tls = {} }: TargetAddress): ConnectionOptions {
  const servername = tls.serverName ?? (isIP(host) === 0 ? host : undefined);
  return {
    host,
    port,
    ...(servername === undefined ? {} : { servername }),
    ...(tls.authorities === undefined ? {} : { ca: tls.authorities }),
    ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
  };
}

function tlsFrom(query: URLSearchParams): TargetTls {
  const found: Record<string, string> = {};
  for (const [word, field] of Object.entries(tlsFiles)) {
    const file = query.get(word);
    if (file !== null) found[field] = contentOf(word, file);
  }
  const serverName = query.get('ssl_server_name');
  return { ...found, ...(serverName === null ? {} : { serverName }) };
}

function contentOf(word: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new MoveRefused(`${word} ${file} cannot be read: ${(error as Error).message}`);
  }
}
