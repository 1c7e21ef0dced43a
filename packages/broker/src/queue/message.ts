import { decodeProperties } from '@torcello/amqp091';
import type { BasicProperties, DecodeLimits } from '@torcello/amqp091';
import { StoreDamage } from '../store/message-store.js';
import { checksumBytes, seal } from '../store/sealed-value.js';

/** A message as the broker takes it: where it was published to, and its content. */
export interface MessageContent {
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: BasicProperties;
  /** The properties as they came, passed on unread. */
  readonly propertyBytes: Uint8Array;
  readonly body: Uint8Array;
  /** Wall-clock instant of arrival, milliseconds since 1970. */
  readonly arrivedAtMs: number;
  /** Deaths since somebody rejected it, or since the broker's start. Default 0. */
  readonly deathsInARow?: number;
  /** Further routing keys that no receiver sees, RabbitMQ's `BCC`: a dead letter goes there again. Default none. */
  readonly hiddenCopies?: readonly string[] | undefined;
  /** A dead letter got a routing key of its own, and goes to no copies (`CC`) any more. Default false. */
  readonly areCopiesSpent?: boolean;
  /** Of the body in the store that it shares with others. Default: it has a body of its own. */
  readonly bodyNumber?: number | undefined;
}

/** What the store keeps of a message besides its fields, when there is something. */
interface Extras {
  readonly copies?: readonly string[];
  readonly areCopiesSpent?: true;
  /** The body lies elsewhere, once for several messages. */
  readonly body?: { readonly number: number; readonly bytes: number };
}

/** The broker adds to headers that were accepted, so it reads more than it accepts. */
const ownLimits: DecodeLimits = { tableDepthMax: 16, tableEntriesMax: 1024, tableBytesMax: 256 * 1024 };

const noExtras: Extras = {};
const recordVersion = 1;
/** As version 1, but extras stand before the body: their length in bytes (uint32) and JSON. */
const recordVersionWithExtras = 2;
const fixedBytes = 1 + 8 + 1 + 1 + 4;
const persistentMode = 2;
/** Flags of a message that sets a priority or an expiration (AMQP 0-9-1 §4.2.6.1 and the properties of class basic). */
const ownRulesFlags = (1 << 11) | (1 << 8);

/**
 * A message inside the broker, shared by all queues that hold it. It begins as views of the bytes that came from the
 * socket; before it stays it moves into one buffer of its own, which is also what the store writes.
 */
export class Message {
  readonly exchange: string;
  readonly routingKey: string;
  readonly arrivedAtMs: number;
  readonly deathsInARow: number;
  readonly isPersistent: boolean;
  /** 0 when the sender set none. */
  readonly priority: number;
  /** Time to live that the sender asked for, in milliseconds. */
  readonly expirationMs: number | undefined;
  readonly hiddenCopies: readonly string[] | undefined;
  readonly areCopiesSpent: boolean;
  #propertyBytes: Uint8Array;
  #body: Uint8Array;
  #bodyNumber: number | undefined;
  #sealedBody: Buffer | undefined;
  #record: Buffer | undefined;

  constructor(content: MessageContent) {
    const { properties } = content;
    this.exchange = content.exchange;
    this.routingKey = content.routingKey;
    this.arrivedAtMs = content.arrivedAtMs;
    this.deathsInARow = content.deathsInARow ?? 0;
    this.isPersistent = properties.deliveryMode === persistentMode;
    this.priority = properties.priority ?? 0;
    this.expirationMs = properties.expiration === undefined ? undefined : Number(properties.expiration);
    this.hiddenCopies = content.hiddenCopies;
    this.areCopiesSpent = content.areCopiesSpent === true;
    this.#propertyBytes = content.propertyBytes;
    this.#body = content.body;
    this.#bodyNumber = content.bodyNumber;
  }

  /**
   * A message from what the store kept.
   * @param bodyOf - reads the body that it shares with others.
   * @throws StoreDamage.
   */
  static fromRecord(record: Buffer, bodyOf: (number: number) => Uint8Array): Message {
    const propertiesAt = propertiesAtOf(record);
    const exchangeEnd = 11 + record.readUInt8(9);
    const keyEnd = propertiesAt - 4;
    const propertiesEnd = propertiesAt + record.readUInt32LE(keyEnd);
    const propertyBytes = record.subarray(propertiesAt, propertiesEnd);
    const bodyAt = bodyAtOf(record, propertiesAt);
    const { copies, areCopiesSpent = false, body } = extrasOf(record);
    return new Message({
      exchange: record.toString('utf8', 11, exchangeEnd),
      routingKey: record.toString('utf8', exchangeEnd, keyEnd),
      arrivedAtMs: record.readDoubleLE(1),
      properties: decodeProperties(propertyBytes, { limits: ownLimits }),
      propertyBytes,
      body: body === undefined ? record.subarray(bodyAt) : bodyOf(body.number),
      hiddenCopies: copies,
      areCopiesSpent,
      bodyNumber: body?.number,
    });
  }

  /** Length of the body in what the store kept, without a look at the rest. */
  static bodyBytesOf(record: Buffer): number {
    return extrasOf(record).body?.bytes ?? record.length - bodyAtOf(record, propertiesAtOf(record));
  }

  /** Number of the body that the message in such a record shares with others. */
  static bodyNumberOf(record: Buffer): number | undefined {
    return extrasOf(record).body?.number;
  }

  /** Whether the message in such a record says when it expires, or how urgent it is. */
  static hasOwnRules(record: Buffer): boolean {
    const propertiesAt = propertiesAtOf(record);
    const isWritten = record.readUInt32LE(propertiesAt - 4) >= 2;
    return isWritten && (record.readUInt16BE(propertiesAt) & ownRulesFlags) !== 0;
  }

  get propertyBytes(): Uint8Array {
    return this.#propertyBytes;
  }

  get body(): Uint8Array {
    return this.#body;
  }

  /** Of the body in the store that it shares with others; undefined when its body is its own. */
  get bodyNumber(): number | undefined {
    return this.#bodyNumber;
  }

  /** Properties and body, in bytes: what the message holds in memory. */
  get contentBytes(): number {
    return this.#propertyBytes.length + this.#body.length;
  }

  /** The properties, decoded anew at each call. */
  properties(): BasicProperties {
    return decodeProperties(this.#propertyBytes, { keepTypes: true, limits: ownLimits });
  }

  /** Moves the content out of the bytes of the socket, which would be held as a whole otherwise. */
  keep(): void {
    this.sealed();
  }

  /** From now on the body lies in the store under this number, for all queues that keep the message. */
  shareBody(number: number): void {
    const sealed = Buffer.allocUnsafeSlow(checksumBytes + this.#body.length);
    sealed.set(this.#body, checksumBytes);
    this.#sealedBody = seal(sealed);
    this.#body = sealed.subarray(checksumBytes);
    this.#bodyNumber = number;
  }

  /** The sealed value of a shared body, for the store. Undefined for a message that was read from there. */
  get sealedBody(): Buffer | undefined {
    return this.#sealedBody;
  }

  /** The sealed value for the store, without a shared body. Made once. */
  sealed(): Buffer {
    this.#record ??= this.#makeRecord();
    return this.#record;
  }

  #makeRecord(): Buffer {
    const exchangeBytes = Buffer.byteLength(this.exchange);
    const keyBytes = Buffer.byteLength(this.routingKey);
    const propertiesAt = checksumBytes + fixedBytes + exchangeBytes + keyBytes;
    const propertiesEnd = propertiesAt + this.#propertyBytes.length;
    const extras = this.#extras();
    const bodyAt = extras === undefined ? propertiesEnd : propertiesEnd + 4 + extras.length;
    const isShared = this.#bodyNumber !== undefined;
    const record = Buffer.allocUnsafeSlow(isShared ? bodyAt : bodyAt + this.#body.length);
    let at = record.writeUInt8(extras === undefined ? recordVersion : recordVersionWithExtras, checksumBytes);
    at = record.writeDoubleLE(this.arrivedAtMs, at);
    at = record.writeUInt8(exchangeBytes, at);
    at = record.writeUInt8(keyBytes, at);
    at += record.write(this.exchange, at);
    at += record.write(this.routingKey, at);
    record.writeUInt32LE(this.#propertyBytes.length, at);
    record.set(this.#propertyBytes, propertiesAt);
    if (extras !== undefined) record.set(extras, record.writeUInt32LE(extras.length, propertiesEnd));
    this.#propertyBytes = record.subarray(propertiesAt, propertiesEnd);
    if (isShared) return seal(record);
    record.set(this.#body, bodyAt);
    this.#body = record.subarray(bodyAt);
    return seal(record);
  }

  #extras(): Buffer | undefined {
    const { hiddenCopies: copies } = this;
    const number = this.#bodyNumber;
    if (copies === undefined && number === undefined && !this.areCopiesSpent) return undefined;
    const body = number === undefined ? undefined : { number, bytes: this.#body.length };
    const areCopiesSpent = this.areCopiesSpent || undefined;
    return Buffer.from(JSON.stringify({ copies, areCopiesSpent, body }));
  }
}

/** Where the properties begin in what the store kept. @throws StoreDamage for a form that is not known. */
function propertiesAtOf(record: Buffer): number {
  const version = record[0];
  if (version !== recordVersion && version !== recordVersionWithExtras)
    throw new StoreDamage('message', `its form ${version} is not known`);
  return 11 + record.readUInt8(9) + record.readUInt8(10) + 4;
}

function bodyAtOf(record: Buffer, propertiesAt: number): number {
  const propertiesEnd = propertiesAt + record.readUInt32LE(propertiesAt - 4);
  return record[0] === recordVersion ? propertiesEnd : propertiesEnd + 4 + record.readUInt32LE(propertiesEnd);
}

function extrasOf(record: Buffer): Extras {
  if (record[0] === recordVersion) return noExtras;
  const propertiesAt = propertiesAtOf(record);
  const extrasAt = propertiesAt + record.readUInt32LE(propertiesAt - 4) + 4;
  return JSON.parse(record.toString('utf8', extrasAt, bodyAtOf(record, propertiesAt))) as Extras;
}
