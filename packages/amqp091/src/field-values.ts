/**
 * A value of a field table. Numbers are written as `I` when they fit 32 bits, as `l` when they are larger safe integers,
 * else as `d`; bigints as `l`; strings as `S`; bytes as `x`; dates as `T` (whole seconds); null as `V`; arrays as `A`;
 * other objects as `F`. `typed` chooses another type.
 */
export type FieldValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | Date
  | Uint8Array
  | Typed
  | readonly FieldValue[]
  | { readonly [key: string]: FieldValue };

/** A field table (§4.2.5.5). Entries whose value is undefined are not written. */
export type FieldTable = { readonly [key: string]: FieldValue };

/** The type letters that RabbitMQ reads. `L` is a signed 64-bit integer as Python writes it, and is
 * written only when asked for. */
export type FieldTag =
  | 't'
  | 'b'
  | 'B'
  | 's'
  | 'u'
  | 'I'
  | 'i'
  | 'l'
  | 'L'
  | 'f'
  | 'd'
  | 'D'
  | 'S'
  | 'x'
  | 'T'
  | 'A'
  | 'F'
  | 'V';

/** A decimal number: `unscaled` divided by ten to the power of `scale` (0 to 255). */
export interface DecimalNumber {
  readonly scale: number;
  readonly unscaled: number;
}

interface TagValues {
  t: boolean;
  b: number;
  B: number;
  s: number;
  u: number;
  I: number;
  i: number;
  l: number | bigint;
  L: number | bigint;
  f: number;
  d: number;
  D: DecimalNumber;
  S: string | Uint8Array;
  x: Uint8Array;
  T: Date | number | bigint;
  A: readonly FieldValue[];
  F: FieldTable;
  V: null;
}

/** A value with its type on the wire chosen by hand. */
export class Typed {
  readonly tag: FieldTag;
  readonly value: TagValues[FieldTag];

  constructor(tag: FieldTag, value: TagValues[FieldTag]) {
    this.tag = tag;
    this.value = value;
  }
}

/** A value that is written with this type letter, for example `typed('s', 5)` for a 16-bit five. */
export function typed<T extends FieldTag>(tag: T, value: TagValues[T]): Typed {
  return new Typed(tag, value);
}

/** The value without its wire type: what a reader of headers usually wants. */
export function untyped(value: FieldValue): FieldValue | DecimalNumber {
  return value instanceof Typed ? value.value : value;
}

/**
 * Whether two values mean the same, whatever integer type carried them: 5, 5n and `typed('b', 5)` are equal. RabbitMQ
 * compares the arguments of a re-declaration this way.
 */
export function fieldValuesEqual(left: FieldValue, right: FieldValue): boolean {
  const [a, b] = [untyped(left) ?? null, untyped(right) ?? null];
  if (isNumeric(a) && isNumeric(b)) return (a <= b && a >= b) || (Number.isNaN(a) && Number.isNaN(b));
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return a === b;
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  }
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  }
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && arraysEqual(a, b);
  return fieldTablesEqual(a as FieldTable, b as FieldTable);
}

/** Whether two tables hold equal values under the same keys, in any order; undefined entries do not count. */
export function fieldTablesEqual(left: FieldTable, right: FieldTable): boolean {
  const keys = definedKeys(left);
  return (
    keys.length === definedKeys(right).length &&
    keys.every(
      (key) => Object.hasOwn(right, key) && right[key] !== undefined && fieldValuesEqual(left[key], right[key]),
    )
  );
}

function arraysEqual(left: readonly FieldValue[], right: readonly FieldValue[]): boolean {
  return left.length === right.length && left.every((value, index) => fieldValuesEqual(value, right[index]));
}

function definedKeys(table: FieldTable): readonly string[] {
  return Object.keys(table).filter((key) => table[key] !== undefined);
}

function isNumeric(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}
