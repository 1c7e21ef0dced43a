import { limits } from '../limits.js';
import { LosslessReader } from './lossless-reader.js';

const longNumber = /\d{16}/;

/**
 * Reads JSON as Python writes it: integers beyond 2^53 become `bigint` instead of losing digits, and the bare tokens
 * `NaN`, `Infinity`, `-Infinity` are numbers (oslo 1.4).
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  if (!longNumber.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      // Perhaps one of Python's tokens; the slow reader knows, or has the better message.
    }
  }
  return new LosslessReader(text, limits.jsonDepth).read();
}

/**
 * Writes JSON; a `bigint` becomes an integer with all its digits.
 * @throws TypeError for cycles.
 */
export function stringifyJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch (error) {
    if (!holdsBigInt(value, 0)) throw error;
    return write(value) ?? 'null';
  }
}

function holdsBigInt(value: unknown, depth: number): boolean {
  if (typeof value === 'bigint') return true;
  if (typeof value !== 'object' || value === null || depth > limits.jsonDepth) return false;
  return Object.values(value).some((inner) => holdsBigInt(inner, depth + 1));
}

function write(value: unknown): string | undefined {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if ('toJSON' in value && typeof value.toJSON === 'function') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((inner) => write(inner) ?? 'null').join(',')}]`;
  const fields = Object.entries(value).flatMap(([name, inner]) => {
    const text = write(inner);
    return text === undefined ? [] : `${JSON.stringify(name)}:${text}`;
  });
  return `{${fields.join(',')}}`;
}
