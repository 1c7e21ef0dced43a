import {
  MessagingError,
  type IncomingMessage,
  type MessageProperties,
  type OutgoingMessage,
} from '@torcello/messaging';
import rhea from 'rhea';

/** Headers that are no simple values, as JSON: application properties hold only those (AMQP 1.0 §3.2.5). */
const nestedHeader = 'torcello-headers';
const appIdHeader = 'torcello-app-id';
/** An earlier copy of the message may have arrived. */
const repeatAnnotation = 'x-opt-torcello-repeat';

const nothing = { collect_sections: (): void => undefined };

/** An outgoing message as the engine wants it. */
export function toEngine(message: OutgoingMessage, address: string): Record<string, unknown> {
  const { properties, persistent, expiresMs, isRepeat } = message;
  const made: Record<string, unknown> = { durable: persistent, to: address, body: bodyOf(message) };
  for (const name of plainProperties) {
    const value = properties[name];
    if (value !== undefined) made[engineNames[name]] = value;
  }
  const applied = applicationProperties(message);
  if (applied !== undefined) made['application_properties'] = applied;
  if (expiresMs !== undefined) made['ttl'] = Math.max(1, Math.trunc(expiresMs));
  if (properties.userId !== undefined) made['user_id'] = Buffer.from(properties.userId, 'utf8');
  if (isRepeat === true) made['message_annotations'] = { [repeatAnnotation]: true };
  return made;
}

/** Properties that the engine takes as they are. */
const engineNames = {
  priority: 'priority',
  messageId: 'message_id',
  correlationId: 'correlation_id',
  replyTo: 'reply_to',
  contentType: 'content_type',
  contentEncoding: 'content_encoding',
  type: 'subject',
  timestampMs: 'creation_time',
} as const satisfies Partial<Record<keyof MessageProperties, string>>;

const plainProperties = Object.keys(engineNames) as readonly (keyof typeof engineNames)[];

function bodyOf({ body, bodyAs = 'bytes' }: OutgoingMessage): unknown {
  if (bodyAs === 'nothing') return nothing;
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return bodyAs === 'text' ? buffer.toString('utf8') : rhea.message.data_section(buffer);
}

function applicationProperties({ headers, properties }: OutgoingMessage): Record<string, unknown> | undefined {
  const entries = Object.entries(headers).filter(([, value]) => value !== undefined);
  if (entries.length === 0 && properties.appId === undefined) return undefined;
  const nested = entries.filter(([, value]) => !isSimple(value));
  const all = Object.fromEntries(entries.filter(([, value]) => isSimple(value)));
  if (nested.length > 0) all[nestedHeader] = JSON.stringify(Object.fromEntries(nested));
  if (properties.appId !== undefined) all[appIdHeader] = properties.appId;
  return Object.keys(all).length === 0 ? undefined : all;
}

function isSimple(value: unknown): boolean {
  return ['string', 'boolean'].includes(typeof value) || (typeof value === 'number' && Number.isFinite(value));
}

/** A message that came in. What it does not say is left out. */
export function fromEngine(message: Readonly<Record<string, unknown>>): IncomingMessage {
  const { [nestedHeader]: nested, [appIdHeader]: appId, ...headers } = recordOf(message['application_properties']);
  const properties: MessageProperties = defined({
    messageId: idText(message['message_id']),
    correlationId: idText(message['correlation_id']),
    replyTo: text(message['reply_to']),
    contentType: text(message['content_type']),
    contentEncoding: text(message['content_encoding']),
    priority: number(message['priority']),
    type: text(message['subject']),
    appId: text(appId),
    userId: idText(message['user_id']),
    timestampMs: time(message['creation_time']),
  });
  return { body: bytesOf(message['body']), properties, headers: { ...headers, ...parseNested(nested) } };
}

/** Whether its sender says that this may be a second copy. */
export function isRepeat(message: Readonly<Record<string, unknown>>): boolean {
  return recordOf(message['message_annotations'])[repeatAnnotation] === true;
}

/** One data section, several, text, or nothing. @throws UNDECODABLE for a body that is neither. */
function bytesOf(body: unknown): Uint8Array {
  if (body === undefined || body === null) return new Uint8Array();
  if (typeof body === 'string') return Buffer.from(body, 'utf8');
  if (body instanceof Uint8Array) return body;
  const { typecode, content } = body as { typecode?: unknown; content?: unknown };
  if (typecode === 0x75 && content instanceof Uint8Array) return content;
  if (typecode === 0x75 && Array.isArray(content)) return Buffer.concat(content as Uint8Array[]);
  throw new MessagingError('UNDECODABLE', 'the body is neither bytes nor text');
}

function parseNested(json: unknown): Record<string, unknown> {
  if (typeof json !== 'string') return {};
  try {
    return recordOf(JSON.parse(json));
  } catch {
    return {};
  }
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Ids may be text, numbers or bytes (§3.2.4). */
function idText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function time(value: unknown): number | undefined {
  if (value instanceof Date) return value.getTime();
  return typeof value === 'number' ? value : undefined;
}

function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
