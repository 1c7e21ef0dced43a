import { Environment, type ParseResult } from '@marcbachmann/cel-js';
import { conductorLimits } from '../limits.js';
import { CompileError, type CompileErrorCode, type FindPlace } from './compile-error.js';
import { type ExpressionNode, costOf, forbiddenCall } from './expression-cost.js';
import { type Scope, type Value, scopeRoots } from './scope.js';

/**
 * CEL expressions (Common Expression Language), parsed once and evaluated for each machine. Integers of the scope are
 * CEL `int`s, and come back as numbers. No expression can run code, read a clock or loop without bound.
 */
export class Expressions {
  readonly #environment: Environment;
  readonly #parsed = new Map<string, ParseResult>();
  /** Scopes in CEL's types, by the scope they were made from: one machine has many expressions. */
  readonly #celScopes = new WeakMap<Scope, Record<string, unknown>>();

  constructor() {
    this.#environment = new Environment({
      homogeneousAggregateLiterals: false,
      limits: {
        maxAstNodes: conductorLimits.expressionNodesMax.value,
        maxDepth: conductorLimits.expressionDepthMax.value,
      },
    });
    for (const root of scopeRoots) this.#environment.registerVariable(root, 'dyn');
  }

  /** @throws CompileError that names place, expression and problem. */
  evaluate(expression: string, scope: Scope, place: FindPlace): Value {
    const parsed = this.#parse(expression, place);
    const node = parsed.ast as unknown as ExpressionNode;
    if (costOf(node, scope) > conductorLimits.expressionIterationsMax.value) {
      throw tooLarge(expression, place, `nests loops over ${conductorLimits.expressionIterationsMax.value} iterations`);
    }
    let result: unknown;
    try {
      result = parsed(this.#celScope(scope));
    } catch (error) {
      throw expressionError('EXPRESSION_FAILED', { expression, place, error });
    }
    return fromCel(result, () =>
      expressionError('VALUE_UNSUITABLE', {
        expression,
        place,
        error: { summary: 'the result is none of text, number, true/false, null, list or map' },
      }),
    );
  }

  #parse(expression: string, place: FindPlace): ParseResult {
    const known = this.#parsed.get(expression);
    if (known !== undefined) return known;
    const bytesMax = conductorLimits.expressionBytesMax.value;
    if (Buffer.byteLength(expression) > bytesMax)
      throw tooLarge(`${expression.slice(0, 60)}…`, place, `is over ${bytesMax} bytes`);
    const parsed = this.#checked(expression, place);
    this.#parsed.set(expression, parsed);
    return parsed;
  }

  #checked(expression: string, place: FindPlace): ParseResult {
    let parsed: ParseResult;
    try {
      parsed = this.#environment.parse(expression);
    } catch (error) {
      throw expressionError('EXPRESSION_INVALID', { expression, place, error });
    }
    const forbidden = forbiddenCall(parsed.ast as unknown as ExpressionNode);
    if (forbidden !== undefined) {
      const error = { summary: `${forbidden}() is not available here` };
      throw expressionError('EXPRESSION_INVALID', { expression, place, error });
    }
    const check = parsed.check();
    if (!check.valid) throw expressionError('EXPRESSION_INVALID', { expression, place, error: check.error });
    return parsed;
  }

  #celScope(scope: Scope): Record<string, unknown> {
    const known = this.#celScopes.get(scope);
    if (known !== undefined) return known;
    const made = Object.fromEntries(Object.entries(scope).map(([root, value]) => [root, toCel(value)]));
    this.#celScopes.set(scope, made);
    return made;
  }
}

/** The same list or map of the scope is converted once, however many machines share it. */
const converted = new WeakMap<object, unknown>();

function toCel(value: Value): unknown {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (value === null || typeof value !== 'object') return value;
  const known = converted.get(value);
  if (known !== undefined) return known;
  const made = Array.isArray(value)
    ? value.map((item) => toCel(item as Value))
    : Object.fromEntries(Object.entries(value).map(([name, item]) => [name, toCel(item)]));
  converted.set(value, made);
  return made;
}

function fromCel(value: unknown, unsuitable: () => CompileError): Value {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value === 'bigint' && Number.isSafeInteger(Number(value))) return Number(value);
  if (Array.isArray(value)) return value.map((item) => fromCel(item, unsuitable));
  if (value instanceof Map) return fromCel(Object.fromEntries(value), unsuitable);
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, fromCel(item, unsuitable)]));
  }
  throw unsuitable();
}

function expressionError(
  code: CompileErrorCode,
  what: { readonly expression: string; readonly place: FindPlace; readonly error: unknown },
): CompileError {
  const {
    summary,
    message,
    code: celCode,
    range,
  } = what.error as Partial<Record<string, unknown>> & {
    readonly range?: { readonly start: number };
  };
  const place = what.place(what.expression);
  const at = range === undefined || place.column === undefined ? {} : { column: place.column + range.start };
  return new CompileError(
    code,
    { ...place, ...at },
    {
      problem: `\${{ ${what.expression} }}: ${String(summary ?? message)}`,
      cure: cures.get(celCode) ?? 'correct the expression',
    },
  );
}

const cures: ReadonlyMap<unknown, string> = new Map([
  ['unknown_variable', `the names there are: ${scopeRoots.join(', ')}`],
  ['no_such_key', 'use a property that the package declares, or guard it with has(…)'],
  ['no_such_overload', 'convert one side, as in string(…) or int(…)'],
]);

function tooLarge(expression: string, place: FindPlace, how: string): CompileError {
  return new CompileError('EXPRESSION_TOO_LARGE', place(expression), {
    problem: `\${{ ${expression} }} ${how}`,
    cure: 'write a simpler expression, or use a template file',
  });
}
