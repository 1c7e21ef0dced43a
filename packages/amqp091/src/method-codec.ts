import { ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import { EncodeError, ProtocolError } from './errors.js';
import { readTable, writeTable, type DecodeTableOptions } from './field-table.js';
import type { FieldTable } from './field-values.js';
import { hotReaders, hotWriters } from './hot-methods.js';
import {
  methodSpec,
  methodSpecByIds,
  type FieldSpec,
  type Method,
  type MethodSpec,
  type OutgoingMethod,
} from './method-types.js';

/** Writes class, method and arguments: the payload of a method frame (§4.2.4). */
export function writeMethod(writer: ByteWriter, method: OutgoingMethod): void {
  const hot = hotWriters[method.name];
  if (hot === undefined) writeMethodByTable(writer, method);
  else hot(writer, method as never);
}

/** What `writeMethod` does, from the method table alone. */
export function writeMethodByTable(writer: ByteWriter, method: OutgoingMethod): void {
  const spec = methodSpec(method.name);
  writer.short(spec.classId);
  writer.short(spec.methodId);
  const values = method as unknown as Readonly<Record<string, unknown>>;
  let bits = 0;
  let bitCount = 0;
  for (const field of spec.fields) {
    if (field.type === 'bit') {
      if (!field.isReserved && values[field.name] === true) bits |= 1 << bitCount;
      bitCount += 1;
      continue;
    }
    if (bitCount > 0) writer.octet(bits);
    bits = 0;
    bitCount = 0;
    writeField(writer, field, field.isReserved ? undefined : values[field.name]);
  }
  if (bitCount > 0) writer.octet(bits);
}

function writeField(writer: ByteWriter, field: FieldSpec, value: unknown): void {
  switch (field.type) {
    case 'octet':
      return writer.octet(whole(field, value, 0xff));
    case 'short':
      return writer.short(whole(field, value, 0xffff));
    case 'long':
      return writer.long(whole(field, value, 0xffff_ffff));
    case 'longlong':
      return writer.longlong(whole(field, value, Number.MAX_SAFE_INTEGER));
    case 'shortstr':
      return writer.shortText(text(field, value));
    case 'longtext':
      return writer.longText(text(field, value));
    case 'longstr':
      return writer.longBytes(bytes(field, value));
    default:
      return writeTable(writer, (value ?? {}) as FieldTable);
  }
}

function whole(field: FieldSpec, value: unknown, most: number): number {
  if (field.isReserved) return 0;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new EncodeError('OUT_OF_RANGE', `${field.name} must be a whole number from 0 to ${most}, not ${String(value)}`);
}

function text(field: FieldSpec, value: unknown): string {
  if (field.isReserved) return '';
  if (typeof value === 'string') return value;
  throw new EncodeError('UNSUPPORTED_VALUE', `${field.name} must be a string`);
}

function bytes(field: FieldSpec, value: unknown): Uint8Array {
  if (field.isReserved) return noBytes;
  if (value instanceof Uint8Array) return value;
  throw new EncodeError('UNSUPPORTED_VALUE', `${field.name} must be bytes`);
}

const noBytes = new Uint8Array(0);

/** Reads the payload of a method frame. Arguments must end where the payload ends. */
export function readMethod(payload: Buffer, options?: DecodeTableOptions): Method {
  const ids = new ByteReader(payload);
  const classId = ids.short();
  const methodId = ids.short();
  const reader = new ByteReader(payload, { start: 4, end: payload.length }, { classId, methodId });
  const hot = hotReaders.get(classId * 0x1_0000 + methodId);
  const method = hot === undefined ? readArguments(reader, knownSpec(classId, methodId), options) : hot(reader);
  reader.finish();
  return method;
}

/** What `readMethod` does, from the method table alone. */
export function readMethodByTable(payload: Buffer, options?: DecodeTableOptions): Method {
  const ids = new ByteReader(payload);
  const place = { classId: ids.short(), methodId: ids.short() };
  const reader = new ByteReader(payload, { start: 4, end: payload.length }, place);
  const method = readArguments(reader, knownSpec(place.classId, place.methodId), options);
  reader.finish();
  return method;
}

function knownSpec(classId: number, methodId: number): MethodSpec {
  const spec = methodSpecByIds(classId, methodId);
  if (spec !== undefined) return spec;
  throw new ProtocolError('COMMAND_INVALID', `there is no method ${classId}.${methodId}`, { classId, methodId });
}

function readArguments(reader: ByteReader, spec: MethodSpec, options: DecodeTableOptions | undefined): Method {
  const method: Record<string, unknown> = { name: spec.name };
  let bits = 0;
  let bitCount = 0;
  for (const field of spec.fields) {
    if (field.type === 'bit') {
      if (bitCount % 8 === 0) bits = reader.octet();
      if (!field.isReserved) method[field.name] = (bits & (1 << (bitCount % 8))) !== 0;
      bitCount += 1;
      continue;
    }
    bitCount = 0;
    const value = readField(reader, field, options);
    if (!field.isReserved) method[field.name] = value;
  }
  return method as unknown as Method;
}

function readField(reader: ByteReader, field: FieldSpec, options: DecodeTableOptions | undefined): unknown {
  switch (field.type) {
    case 'octet':
      return reader.octet();
    case 'short':
      return reader.short();
    case 'long':
      return reader.long();
    case 'longlong':
      return reader.tag();
    case 'shortstr':
      return reader.shortText();
    case 'longtext':
      return reader.longText();
    case 'longstr':
      return reader.longBytes();
    default:
      return readTable(reader, options);
  }
}
