import { MessagingError } from './errors.js';

/**
 * A transport URL taken apart: `scheme://[user:password@]host[:port][,…]/vhost?option=value`. oslo.messaging's rules:
 * credentials belong to a host, `%nn` is decoded in user, password and vhost, IPv6 addresses stand in brackets.
 */
export interface TransportUrl {
  /** In lower case, without the colon. */
  readonly scheme: string;
  readonly hosts: readonly TransportHost[];
  /** The path without its first slash, decoded; undefined when there is no path. */
  readonly vhost: string | undefined;
  /** Query options; values of a repeated key are joined by commas. */
  readonly options: ReadonlyMap<string, string>;
}

export interface TransportHost {
  readonly host: string;
  /** Undefined: the scheme's own port. */
  readonly port: number | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

const shape = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?]*))?([^?]*)(?:\?(.*))?$/i;

/**
 * Takes a transport URL apart.
 * @throws MessagingError INVALID_URL, which never repeats the URL: it may hold a password.
 */
export function parseTransportUrl(url: string): TransportUrl {
  if (url.includes('#')) throw invalid('write "#" as %23');
  const parts = shape.exec(url);
  if (parts === null) throw invalid('it has to start with a scheme, as in rabbit://host/');
  const [, scheme = '', hosts = '', path = '', query = ''] = parts;
  return {
    scheme: scheme.toLowerCase(),
    hosts: hosts
      .split(',')
      .filter((host) => host !== '')
      .map(parseHost),
    vhost: path === '' ? undefined : decode(path.startsWith('/') ? path.slice(1) : path),
    options: parseOptions(query),
  };
}

/** The URL's text without passwords, for logs. */
export function describeTransportUrl(url: TransportUrl): string {
  const hosts = url.hosts.map(
    ({ host, port }) => `${host.includes(':') ? `[${host}]` : host}${port === undefined ? '' : `:${port}`}`,
  );
  return `${url.scheme}://${hosts.join(',')}/${encodeURIComponent(url.vhost ?? '')}`;
}

function parseHost(text: string): TransportHost {
  const at = text.lastIndexOf('@');
  const credentials = at < 0 ? undefined : text.slice(0, at);
  const colon = credentials?.indexOf(':') ?? -1;
  return {
    ...parseAddress(text.slice(at + 1)),
    username: credentials === undefined ? undefined : decode(colon < 0 ? credentials : credentials.slice(0, colon)),
    password: credentials === undefined || colon < 0 ? undefined : decode(credentials.slice(colon + 1)),
  };
}

function parseAddress(text: string): { readonly host: string; readonly port: number | undefined } {
  if (!text.startsWith('[')) {
    const [host = '', port] = splitOnce(text, ':');
    return { host: host === '' ? 'localhost' : host, port: parsePort(port) };
  }
  const end = text.indexOf(']');
  if (end < 0) throw invalid('an IPv6 address lacks its closing bracket');
  const rest = text.slice(end + 1);
  if (rest !== '' && !rest.startsWith(':')) throw invalid('only a port may follow an IPv6 address');
  return { host: text.slice(1, end), port: parsePort(rest === '' ? undefined : rest.slice(1)) };
}

function parsePort(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65535)) throw invalid(`"${text}" is not a port`);
  return port;
}

function parseOptions(query: string): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const pair of query.split('&')) {
    const [name = '', value = ''] = splitOnce(pair, '=').map((part) => decode(part.replaceAll('+', ' ')));
    if (value === '') continue;
    const earlier = options.get(name);
    options.set(name, earlier === undefined ? value : `${earlier},${value}`);
  }
  return options;
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw invalid('a percent sign is not followed by two hexadecimal digits', cause);
  }
}

function invalid(why: string, cause?: unknown): MessagingError {
  return new MessagingError('INVALID_URL', `the transport URL cannot be used: ${why}`, { cause });
}
