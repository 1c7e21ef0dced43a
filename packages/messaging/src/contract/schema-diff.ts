import { isDeepStrictEqual } from 'node:util';
import type { JsonSchema } from './describe.js';

export interface SchemaChange {
  readonly path: string;
  readonly isBreaking: boolean;
  readonly what: string;
}

/** `input`: the old side writes what the new side reads. `output`: the new side writes what the old side reads. */
export type Direction = 'input' | 'output';

/** Words of JSON Schema that bind nobody. */
const remarks: ReadonlySet<string> = new Set([
  '$schema',
  '$id',
  'title',
  'description',
  'default',
  'examples',
  '$comment',
]);
const understood: ReadonlySet<string> = new Set([
  ...remarks,
  ...['type', 'enum', 'const', 'properties', 'required', 'additionalProperties', 'items', 'anyOf', 'oneOf'],
  ...['$ref', '$defs', 'definitions'],
]);
const lowerBounds: readonly string[] = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const upperBounds: readonly string[] = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
const depthMax = 64;

/**
 * What changed between two JSON Schemas, and whether it breaks. Where a change is not understood it counts as breaking:
 * a false alarm is looked at, a silent break is not.
 */
export function diffSchemas(before: JsonSchema, after: JsonSchema, direction: Direction): readonly SchemaChange[] {
  return new Comparison(before, after, direction).all();
}

type Fields = Readonly<Record<string, unknown>>;

class Comparison {
  readonly #roots: { readonly before: JsonSchema; readonly after: JsonSchema };
  readonly #direction: Direction;
  readonly #changes: SchemaChange[] = [];

  constructor(before: JsonSchema, after: JsonSchema, direction: Direction) {
    this.#roots = { before, after };
    this.#direction = direction;
  }

  all(): readonly SchemaChange[] {
    this.#compare('', this.#roots, 0);
    return this.#changes;
  }

  #compare(path: string, pair: { readonly before: unknown; readonly after: unknown }, depth: number): void {
    const before = resolve(pair.before, this.#roots.before);
    const after = resolve(pair.after, this.#roots.after);
    // A schema that holds itself: whatever differs was found on the way here.
    if (depth > depthMax || isDeepStrictEqual(bare(before), bare(after))) return;
    if (typeof before === 'boolean' || typeof after === 'boolean') return this.#wholeChange(path, before, after);
    this.#compareTypes(path, before, after);
    this.#compareValues(path, before, after);
    this.#compareBounds(path, before, after);
    this.#compareAlternatives(path, before, after);
    this.#compareProperties(path, { before, after }, depth);
    if (before['items'] !== undefined || after['items'] !== undefined) {
      const items = { before: before['items'] ?? true, after: after['items'] ?? true };
      this.#compare(joined(path, '[]'), items, depth + 1);
    }
    this.#compareRest(path, before, after);
  }

  /** `true` takes everything and `false` nothing. */
  #wholeChange(path: string, before: boolean | Fields, after: boolean | Fields): void {
    if (after === true || before === false) this.#widened(path, 'takes more than before');
    else this.#narrowed(path, 'takes less than before');
  }

  #compareTypes(path: string, before: Fields, after: Fields): void {
    const [old, now] = [typesOf(before), typesOf(after)];
    if (old === undefined && now === undefined) return;
    if (old === undefined) return this.#narrowed(path, `must be ${now?.join(' or ')}`);
    if (now === undefined) return this.#widened(path, 'may be of any type');
    const gone = old.filter((type) => !covers(now, type));
    const added = now.filter((type) => !covers(old, type));
    if (gone.length > 0) this.#narrowed(path, `may no longer be ${gone.join(' or ')}`);
    if (added.length > 0) this.#widened(path, `may also be ${added.join(' or ')}`);
  }

  #compareValues(path: string, before: Fields, after: Fields): void {
    const [old, now] = [valuesOf(before), valuesOf(after)];
    if (old === undefined && now === undefined) return;
    if (old === undefined) return this.#narrowed(path, 'has a list of values');
    if (now === undefined) return this.#widened(path, 'has no list of values any more');
    const gone = old.filter((value) => !now.some((other) => isDeepStrictEqual(other, value)));
    const added = now.filter((value) => !old.some((other) => isDeepStrictEqual(other, value)));
    if (gone.length > 0) this.#narrowed(path, `may no longer be ${JSON.stringify(gone)}`);
    if (added.length > 0) this.#widened(path, `may also be ${JSON.stringify(added)}`);
  }

  #compareBounds(path: string, before: Fields, after: Fields): void {
    for (const name of [...lowerBounds, ...upperBounds]) {
      const sign = lowerBounds.includes(name) ? 1 : -1;
      const [old, now] = [numberOf(before[name]), numberOf(after[name])];
      if (old === now) continue;
      const what = `${name} was ${old ?? 'absent'}, is ${now ?? 'absent'}`;
      const isNarrower = old === undefined || (now !== undefined && sign * now > sign * old);
      if (isNarrower) this.#narrowed(path, what);
      else this.#widened(path, what);
    }
  }

  #compareAlternatives(path: string, before: Fields, after: Fields): void {
    for (const name of ['anyOf', 'oneOf']) {
      const [old, now] = [listOf(before[name]), listOf(after[name])];
      if (old === undefined && now === undefined) continue;
      const has = (list: readonly unknown[] | undefined, one: unknown): boolean =>
        list?.some((other) => isDeepStrictEqual(bare(other), bare(one))) ?? false;
      if (old === undefined) this.#narrowed(path, 'has alternatives now');
      else if (now === undefined) this.#widened(path, 'has no alternatives any more');
      else {
        if (old.some((one) => !has(now, one))) this.#narrowed(path, 'an alternative is gone or changed');
        if (now.some((one) => !has(old, one))) this.#widened(path, 'an alternative is new or changed');
      }
    }
  }

  #compareProperties(path: string, pair: { readonly before: Fields; readonly after: Fields }, depth: number): void {
    const [old, now] = [propertiesOf(pair.before), propertiesOf(pair.after)];
    const required = { before: requiredOf(pair.before), after: requiredOf(pair.after) };
    for (const name of [...new Set([...Object.keys(old), ...Object.keys(now)])].toSorted()) {
      const at = joined(path, name);
      const isRequired = required.after.has(name);
      if (!Object.hasOwn(now, name)) this.#removed(at, pair.after, required.before.has(name));
      else if (!Object.hasOwn(old, name)) this.#added(at, pair.before, isRequired);
      else {
        if (isRequired && !required.before.has(name)) this.#narrowed(at, 'must be there now');
        if (!isRequired && required.before.has(name)) this.#widened(at, 'may be absent now');
        this.#compare(at, { before: old[name], after: now[name] }, depth + 1);
      }
    }
    const [oldRest, rest] = [pair.before['additionalProperties'] ?? true, pair.after['additionalProperties'] ?? true];
    // A reader that refuses fields it does not know refuses them from whoever writes more than was agreed.
    if (!isDeepStrictEqual(oldRest, rest)) {
      if (rest === false) this.#say(joined(path, '*'), this.#direction === 'input', 'refuses fields it does not know');
      else if (oldRest === false) this.#say(joined(path, '*'), false, 'takes fields it does not know');
      else this.#say(joined(path, '*'), true, 'other fields changed');
    }
  }

  #removed(at: string, after: Fields, wasRequired: boolean): void {
    const isRefused = after['additionalProperties'] === false;
    const isBreaking = this.#direction === 'input' ? isRefused : wasRequired;
    this.#say(at, isBreaking, 'is gone');
  }

  #added(at: string, before: Fields, isRequired: boolean): void {
    const isRefused = before['additionalProperties'] === false;
    const isBreaking = this.#direction === 'input' ? isRequired : isRefused;
    this.#say(at, isBreaking, isRequired ? 'is new and required' : 'is new');
  }

  #compareRest(path: string, before: Fields, after: Fields): void {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      if (understood.has(name) || lowerBounds.includes(name) || upperBounds.includes(name)) continue;
      if (isDeepStrictEqual(before[name], after[name])) continue;
      const isDropped = after[name] === undefined;
      this.#say(path, !(isDropped && this.#direction === 'input'), `${name} changed`);
    }
  }

  #narrowed(path: string, what: string): void {
    this.#say(path, this.#direction === 'input', what);
  }

  #widened(path: string, what: string): void {
    this.#say(path, this.#direction === 'output', what);
  }

  #say(path: string, isBreaking: boolean, what: string): void {
    this.#changes.push({ path, isBreaking, what });
  }
}

function resolve(schema: unknown, root: JsonSchema): boolean | Fields {
  if (typeof schema === 'boolean') return schema;
  if (!isFields(schema)) return {};
  const reference = schema['$ref'];
  if (typeof reference !== 'string' || !reference.startsWith('#')) return schema;
  let at: unknown = root;
  for (const step of reference.split('/').slice(1)) at = isFields(at) ? at[step] : undefined;
  return isFields(at) ? at : schema;
}

/** Without what binds nobody. */
function bare(schema: unknown): unknown {
  if (!isFields(schema)) return schema;
  return Object.fromEntries(Object.entries(schema).filter(([name]) => !remarks.has(name)));
}

function typesOf({ type }: Fields): readonly string[] | undefined {
  if (type === undefined) return undefined;
  return (Array.isArray(type) ? type : [type]).map(String);
}

function covers(types: readonly string[], type: string): boolean {
  return types.includes(type) || (type === 'integer' && types.includes('number'));
}

function valuesOf(schema: Fields): readonly unknown[] | undefined {
  return Object.hasOwn(schema, 'const') ? [schema['const']] : listOf(schema['enum']);
}

function listOf(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? (value as readonly unknown[]) : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function propertiesOf({ properties }: Fields): Fields {
  return isFields(properties) ? properties : {};
}

function requiredOf({ required }: Fields): ReadonlySet<unknown> {
  return new Set(listOf(required) ?? []);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function joined(path: string, step: string): string {
  return path === '' ? step : `${path}.${step}`;
}
