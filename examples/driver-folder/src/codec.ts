import type { Destination, OutgoingMessage } from '@torcello/messaging';

/** What a file holds. */
export interface StoredMessage {
  readonly destination: Destination;
  readonly message: Pick<OutgoingMessage, 'body' | 'properties' | 'headers'>;
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number | undefined;
}

/** One line of JSON about the message, and its body behind that, byte for byte. */
export function encodeFile({ destination, message, expiresAtMs }: StoredMessage): Buffer {
  const { body, properties, headers } = message;
  const head = JSON.stringify({ destination, properties, headers, expiresAtMs });
  return Buffer.concat([Buffer.from(`${head}\n`, 'utf8'), body]);
}

export function decodeFile(bytes: Buffer): StoredMessage {
  const end = bytes.indexOf(0x0a);
  const head = JSON.parse(bytes.subarray(0, end).toString('utf8')) as Omit<StoredMessage, 'message'> &
    Pick<OutgoingMessage, 'properties' | 'headers'>;
  const { destination, expiresAtMs, properties, headers } = head;
  return { destination, expiresAtMs, message: { body: new Uint8Array(bytes.subarray(end + 1)), properties, headers } };
}
