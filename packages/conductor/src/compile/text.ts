import type { Expressions } from './expressions.js';
import { CompileError, type FindPlace } from './compile-error.js';
import type { Scope, Value } from './scope.js';

/** A text of a package, taken apart: plain pieces and the expressions between `${{` and `}}`. */
type Piece = { readonly text: string } | { readonly expression: string };

/** How to read the texts of one file for one machine. */
export interface TextReader {
  readonly expressions: Expressions;
  readonly scope: Scope;
}

/**
 * The value of a text that may hold `${{ expression }}`: a text that is one single expression yields its typed value,
 * any other is joined to text. `$${{` stands for `${{` itself.
 */
export function readValue(text: string, reader: TextReader, place: FindPlace): Value {
  const pieces = takeApart(text, place);
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined && 'expression' in first) {
    return reader.expressions.evaluate(first.expression, reader.scope, place);
  }
  return pieces
    .map((piece) =>
      'text' in piece ? piece.text : asText(reader.expressions.evaluate(piece.expression, reader.scope, place), place),
    )
    .join('');
}

/** The same, as text: numbers in decimal, `true` and `false`. @throws CompileError for null, lists and maps. */
export function readText(text: string, reader: TextReader, place: FindPlace): string {
  return asText(readValue(text, reader, place), place);
}

function asText(value: Value, place: FindPlace): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new CompileError('VALUE_UNSUITABLE', place(), {
    problem: `${value === null ? 'null' : Array.isArray(value) ? 'a list' : 'a map'} cannot stand in a text`,
    cure: 'pick one value of it, or join it with .join(",")',
  });
}

function takeApart(text: string, place: FindPlace): readonly Piece[] {
  const pieces: Piece[] = [];
  let plain = '';
  let at = 0;
  while (at < text.length) {
    if (text.startsWith('$${{', at)) {
      plain += '${{';
      at += 4;
    } else if (text.startsWith('${{', at)) {
      const end = endOfExpression(text, at + 3);
      if (end === undefined) throw unclosed(text.slice(at), place);
      if (plain !== '') pieces.push({ text: plain });
      plain = '';
      pieces.push({ expression: text.slice(at + 3, end).trim() });
      at = end + 2;
    } else {
      plain += text.charAt(at);
      at += 1;
    }
  }
  if (plain !== '' || pieces.length === 0) pieces.push({ text: plain });
  return pieces;
}

/** Where the closing `}}` is: not inside a quoted text of CEL, nor inside a map. */
function endOfExpression(text: string, start: number): number | undefined {
  let quote: string | undefined;
  let braces = 0;
  for (let at = start; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (quote !== undefined) {
      if (char === '\\') at += 1;
      else if (char === quote) quote = undefined;
    } else if (char === '"' || char === "'") quote = char;
    else if (char === '{') braces += 1;
    else if (char === '}' && braces > 0) braces -= 1;
    else if (char === '}' && text.charAt(at + 1) === '}') return at;
  }
  return undefined;
}

function unclosed(rest: string, place: FindPlace): CompileError {
  return new CompileError('EXPRESSION_INVALID', place(rest), {
    problem: `${rest.slice(0, 60)}: the expression has no end`,
    cure: 'close it with }}',
  });
}
