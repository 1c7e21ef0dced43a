import { Refusal } from '../errors.js';
import { isObject } from './services.js';

export interface PatchChange {
  readonly op: 'add' | 'replace' | 'remove';
  /** The pointer's parts, unescaped (RFC 6901). */
  readonly path: readonly string[];
  readonly value: unknown;
}

const changesMax = 1_000;

/** Reads a JSON patch (RFC 6902) of the three operations that Murano takes. @throws Refusal invalid_request. */
export function readPatch(value: unknown): readonly PatchChange[] {
  if (!Array.isArray(value)) throw new Refusal('invalid_request', 'a JSON patch is a list of changes');
  if (value.length > changesMax) throw new Refusal('too_large', `at most ${changesMax} changes are allowed`);
  return value.map(readChange);
}

function readChange(value: unknown): PatchChange {
  if (!isObject(value)) throw new Refusal('invalid_request', 'a change is an object');
  const { op, path } = value;
  if (op !== 'add' && op !== 'replace' && op !== 'remove')
    throw new Refusal('invalid_request', '"op" has to be "add", "replace" or "remove"');
  if (typeof path !== 'string') throw new Refusal('invalid_request', 'a change needs a "path"');
  if (op !== 'remove' && value['value'] === undefined)
    throw new Refusal('invalid_request', 'the change needs a "value"');
  const parts = path.replace(/^\//, '').split('/');
  return { op, path: parts.map(unescapePart), value: value['value'] };
}

function unescapePart(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** The document with one change made. @throws Refusal invalid_request where there is nothing at the path. */
export function applyChange(document: unknown, change: PatchChange): unknown {
  const { op, path, value } = change;
  const [part, ...rest] = path;
  if (part === undefined) return value;
  if (Array.isArray(document)) return changeList(document, part, { ...change, path: rest });
  if (!isObject(document)) throw nothingAt(part);
  const entries = Object.entries(document).filter(([key]) => key !== part);
  const isThere = Object.hasOwn(document, part);
  if (rest.length > 0) {
    if (!isThere) throw nothingAt(part);
    return Object.fromEntries([...entries, [part, applyChange(document[part], { ...change, path: rest })]]);
  }
  if (op !== 'add' && !isThere) throw nothingAt(part);
  return Object.fromEntries(op === 'remove' ? entries : [...entries, [part, value]]);
}

function changeList(list: readonly unknown[], part: string, change: PatchChange): readonly unknown[] {
  const { op, path, value } = change;
  const isAdd = op === 'add' && path.length === 0;
  const at = part === '-' && isAdd ? list.length : /^(0|[1-9]\d{0,8})$/.test(part) ? Number(part) : -1;
  if (at < 0 || at > list.length || (at === list.length && !isAdd)) throw nothingAt(part);
  if (isAdd) return list.toSpliced(at, 0, value);
  if (path.length > 0) return list.with(at, applyChange(list[at], change));
  return op === 'remove' ? list.toSpliced(at, 1) : list.with(at, value);
}

function nothingAt(part: string): Refusal {
  return new Refusal('invalid_request', `there is nothing at ${JSON.stringify(part)} in the path of the patch`);
}
