import type { Duplex } from 'node:stream';
import { untyped } from '@torcello/amqp091';
import type { FieldTable } from '@torcello/amqp091';

/** What people are shown of a consumer. */
export interface ConsumerAbout {
  readonly tag: string;
  readonly queue: string;
  readonly isSettledAtOnce: boolean;
  readonly isExclusive: boolean;
  readonly priority: number;
  /** What it may have unsettled. */
  readonly prefetch: number;
}

/** What people are shown of a channel. */
export interface ChannelAbout {
  readonly number: number;
  readonly consumers: readonly ConsumerAbout[];
  readonly unsettled: number;
  readonly unconfirmed: number;
  readonly prefetch: number;
  readonly prefetchTotal: number;
  readonly isConfirming: boolean;
  readonly isTransactional: boolean;
}

/** What people are shown of a connection. */
export interface ConnectionAbout {
  /** Both ends of it, which no other connection has. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** The broker's own end. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly isEncrypted: boolean;
  readonly user: string | undefined;
  readonly vhost: string | undefined;
  readonly state: string;
  /** Wall-clock instant, milliseconds since 1970. */
  readonly openedAtMs: number;
  /** Product, version, platform and name that the client gave. */
  readonly clientProperties: Readonly<Record<string, string>>;
  readonly channels: readonly ChannelAbout[];
}

/** The two ends of a stream, as far as it has any. */
export type StreamEnds = Pick<
  ConnectionAbout,
  'name' | 'address' | 'port' | 'localAddress' | 'localPort' | 'isEncrypted'
>;

/**
 * To be asked while the stream is open: a socket that was closed forgets where it was.
 * @param number - tells pipes apart, which have no port.
 */
export function endsOf(stream: Duplex, address: string, number: number): StreamEnds {
  const { remotePort, localAddress = '', localPort = 0, encrypted } = stream as Partial<SocketEnds>;
  const port = remotePort ?? number;
  const name = remotePort === undefined ? `${address} ${port}` : `${address}:${port} -> ${localAddress}:${localPort}`;
  return { name, address, port, localAddress, localPort, isEncrypted: encrypted === true };
}

interface SocketEnds {
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly encrypted: boolean;
}

const shownNames = ['product', 'version', 'platform', 'connection_name'] as const;
/** Longer texts of clients are cut, in characters. */
const shownLengthMax = 256;

/** What a client says of itself: of all its properties those that are for people. */
export function shownProperties(clientProperties: FieldTable): Readonly<Record<string, string>> {
  const texts = shownNames.flatMap((name) => {
    const text = untyped(clientProperties[name]);
    return typeof text === 'string' ? [[name, text.slice(0, shownLengthMax)] as const] : [];
  });
  return Object.fromEntries(texts);
}
