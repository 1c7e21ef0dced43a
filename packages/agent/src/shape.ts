/**
 * Hand-written checks of JSON that came from outside. The agent has no schema library: it would weigh more than the
 * rest of it. A reader throws `ShapeError` with the path of the first value that does not fit.
 */
export type Reader<T> = (value: unknown, path: string) => T;

export class ShapeError extends Error {
  constructor(path: string, wanted: string) {
    super(`${path === '' ? 'it' : path} is not ${wanted}`);
    this.name = 'ShapeError';
  }
}

export const text: Reader<string> = (value, path) => {
  if (typeof value !== 'string') throw new ShapeError(path, 'a text');
  return value;
};

/** A text that can be an argument or an environment value: no NUL in it. */
export const plainText: Reader<string> = (value, path) => {
  const plain = text(value, path);
  if (plain.includes('\0')) throw new ShapeError(path, 'free of NUL characters');
  return plain;
};

/** 32 hexadecimal digits: ids of plans, deployments, machines. Fit to be the name of a folder. */
export const hexDigits: Reader<string> = (value, path) => {
  const digits = text(value, path);
  if (!/^[0-9a-f]{32}$/.test(digits)) throw new ShapeError(path, '32 hexadecimal digits');
  return digits;
};

export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER): Reader<number> {
  return (value, path) => {
    if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
      throw new ShapeError(path, `a whole number from ${least} to ${most}`);
    }
    return value as number;
  };
}

export function oneOf<const T extends string>(...choices: readonly T[]): Reader<T> {
  return (value, path) => {
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw new ShapeError(path, `one of ${choices.join(', ')}`);
    return found;
  };
}

export function listOf<T>(
  reader: Reader<T>,
  bounds: { readonly least?: number; readonly most: number },
): Reader<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new ShapeError(path, 'a list');
    if (value.length < (bounds.least ?? 0) || value.length > bounds.most) {
      throw new ShapeError(path, `a list of ${bounds.least ?? 0} to ${bounds.most}`);
    }
    return value.map((item, index) => reader(item, `${path}[${index}]`));
  };
}

export function mapOf<T>(reader: Reader<T>): Reader<Readonly<Record<string, T>>> {
  return (value, path) => {
    const entries = Object.entries(plainObject(value, path));
    return Object.fromEntries(entries.map(([key, item]) => [key, reader(item, `${path}.${key}`)]));
  };
}

type Readers = Readonly<Record<string, Reader<unknown>>>;
type Read<R extends Readers> = { readonly [K in keyof R]: ReturnType<R[K]> };

/** An object with these fields; others are left out, so that a newer sender can add some. */
export function fields<const R extends Readers>(readers: R): Reader<Read<R>> {
  return (value, path) => {
    const source = plainObject(value, path);
    const read = Object.entries(readers).map(([key, reader]) => [key, reader(source[key], `${path}.${key}`)] as const);
    return Object.fromEntries(read.filter(([, item]) => item !== undefined)) as Read<R>;
  };
}

export function optional<T>(reader: Reader<T>): Reader<T | undefined> {
  return (value, path) => (value === undefined ? undefined : reader(value, path));
}

/** Parses and reads. @throws ShapeError also for what is no JSON. */
export function readJson<T>(bytes: Uint8Array | string, reader: Reader<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(typeof bytes === 'string' ? bytes : new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new ShapeError('', 'JSON in UTF-8');
  }
  return reader(value, '');
}

function plainObject(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ShapeError(path, 'an object');
  return value as Readonly<Record<string, unknown>>;
}
