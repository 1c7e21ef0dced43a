import { Refusal } from '../errors.js';
import { isObject } from './services.js';

/**
 * The part of an object model at a path, whose elements are keys of objects, and ids or places in lists.
 * @throws Refusal not_found.
 */
export function partAt(model: unknown, path: readonly string[]): unknown {
  return path.reduce((part, element) => stepInto(part, element, path), model);
}

/** The model with the part at `path` replaced, or taken away where `part` is undefined. @throws Refusal not_found. */
export function replaceAt(model: unknown, path: readonly string[], part: unknown): unknown {
  const [element, ...rest] = path;
  if (element === undefined) return part;
  const changed = replaceAt(stepInto(model, element, path), rest, part);
  if (Array.isArray(model)) {
    const at = placeOf(model, element);
    return changed === undefined ? model.toSpliced(at, 1) : model.with(at, changed);
  }
  const entries = Object.entries(model as object).filter(([key]) => key !== element);
  return Object.fromEntries(changed === undefined ? entries : [...entries, [element, changed]]);
}

/** The model with `part` put at the end of the list at `path`. @throws Refusal not_found, invalid_request. */
export function appendAt(model: unknown, path: readonly string[], part: unknown): unknown {
  const list = partAt(model, path);
  if (!Array.isArray(list)) throw new Refusal('invalid_request', `services/${path.join('/')} is no list`);
  return replaceAt(model, path, [...(list as readonly unknown[]), part]);
}

function stepInto(model: unknown, element: string, path: readonly string[]): unknown {
  const found = Array.isArray(model)
    ? (model[placeOf(model, element)] as unknown)
    : isObject(model) && Object.hasOwn(model, element)
      ? model[element]
      : undefined;
  if (found === undefined) throw new Refusal('not_found', `nothing at services/${path.join('/')}`);
  return found;
}

function placeOf(list: readonly unknown[], element: string): number {
  const byId = list.findIndex((item) => isObject(item) && isObject(item['?']) && item['?']['id'] === element);
  return byId >= 0 || !/^\d+$/.test(element) ? byId : Number(element);
}
