import { isAscii } from 'node:buffer';
import { inflateSync } from 'node:zlib';
import type { IncomingMessage, MessageProperties } from '../driver.js';
import { MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { bunzip2 } from './bzip2.js';
import { parseJson, stringifyJson } from './json.js';

/** Payload of one oslo.messaging message: a JSON object. */
export type Payload = Readonly<Record<string, unknown>>;

/** Properties of every message of oslo.messaging (oslo 1.3). */
export const jsonProperties: MessageProperties = {
  contentType: 'application/json',
  contentEncoding: 'utf-8',
  priority: 0,
};

const envelopeVersion = '2.0';
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The body in format 2.0: JSON within JSON (oslo 1.4). */
export function encodeEnvelope(payload: Payload): Uint8Array {
  const message = JSON.stringify(stringifyJson(payload));
  return Buffer.from(`{"oslo.version":"${envelopeVersion}","oslo.message":${message}}`, 'utf8');
}

export function envelope(payload: Payload): Payload {
  return { 'oslo.version': envelopeVersion, 'oslo.message': stringifyJson(payload) };
}

/** The body in format 1.0, which only notifications still use (oslo 1.4). */
export function encodeBare(payload: Payload): Uint8Array {
  return Buffer.from(stringifyJson(payload), 'utf8');
}

/**
 * The payload of a body in either format, unpacked where its sender compressed it.
 * @throws UNDECODABLE
 */
export function decodeEnvelope(message: IncomingMessage): Payload {
  return openEnvelope(decodeObject(decodeText(message)));
}

/** What an object holds in the envelope's fields, or the object itself. @throws UNDECODABLE */
export function openEnvelope(outer: Payload): Payload {
  const { 'oslo.version': version, 'oslo.message': inner } = outer;
  if (version === undefined) return outer;
  if (version !== envelopeVersion)
    throw undecodable(`envelope version ${stringifyJson(version)} is not ${envelopeVersion}`);
  if (typeof inner !== 'string') throw undecodable('the envelope holds no message');
  return decodeObject(inner);
}

function decodeObject(text: string): Payload {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw undecodable('the body is not JSON', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw undecodable('the body is no object');
  return value as Payload;
}

function decodeText(message: IncomingMessage): string {
  const { contentEncoding = 'utf-8' } = message.properties;
  try {
    const bytes = decompress(message);
    if (contentEncoding !== 'utf-8') return new TextDecoder(contentEncoding, { fatal: true }).decode(bytes);
    if (!isAscii(bytes)) return utf8.decode(bytes);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  } catch (cause) {
    if (cause instanceof MessagingError) throw cause;
    throw undecodable(`the body is not ${contentEncoding}`, cause);
  }
}

/** "gzip" bodies are zlib streams (oslo 1.3). */
function decompress(message: IncomingMessage): Uint8Array {
  const { compression } = message.headers;
  if (compression === undefined || compression === '') return message.body;
  if (compression === 'application/x-bz2') return bunzip2(message.body, limits.inflatedSizeBytesMax);
  if (compression !== 'application/x-gzip')
    throw undecodable(`compression ${stringifyJson(compression)} is not supported`);
  return inflateSync(message.body, { maxOutputLength: limits.inflatedSizeBytesMax });
}

function undecodable(why: string, cause?: unknown): MessagingError {
  return new MessagingError('UNDECODABLE', why, { cause });
}
