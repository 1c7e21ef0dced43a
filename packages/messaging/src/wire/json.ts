import { limits } from '../limits.js';
import { LosslessReader } from './lossless-reader.js';

/** Digits in a row that may be more than a number holds. */
const longNumberDigits = 16;
const [zero, nine] = [0x30, 0x39];
const [quote, backslash] = [0x22, 0x5c];
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];

/**
 * Reads JSON as Python writes it: integers beyond 2^53 become `bigint` instead of losing digits, and the bare tokens
 * `NaN`, `Infinity`, `-Infinity` are numbers (oslo 1.4).
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  if (isTooDeep(text, limits.jsonDepth)) throw new SyntaxError(`not JSON for us: more than ${limits.jsonDepth} levels`);
  if (!hasLongNumber(text)) {
    try {
      return JSON.parse(text);
    } catch {
      // Perhaps one of Python's tokens; the slow reader knows, or has the better message.
    }
  }
  return new LosslessReader(text).read();
}

/** Looks only where a row of digits of that length cannot slip through. */
function hasLongNumber(text: string): boolean {
  for (let at = longNumberDigits - 1; at < text.length; at += longNumberDigits) {
    if (!isDigit(text, at)) continue;
    let [first, last] = [at, at];
    while (isDigit(text, first - 1)) first -= 1;
    while (isDigit(text, last + 1)) last += 1;
    if (last - first + 1 >= longNumberDigits) return true;
    at = last;
  }
  return false;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= zero && code <= nine;
}

/** What reads a value later may walk it by recursion, so a stranger's nesting is bounded before there is a value. */
function isTooDeep(text: string, depthMax: number): boolean {
  if (text.length <= 2 * depthMax) return false;
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (isInString && character === backslash) at += 1;
    else if (character === quote) isInString = !isInString;
    else if (isInString) continue;
    else if (character === openBrace || character === openBracket) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (character === closeBrace || character === closeBracket) depth -= 1;
  }
  return false;
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
