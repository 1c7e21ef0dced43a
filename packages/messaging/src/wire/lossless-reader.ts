const space = /[ \t\n\r]*/y;
const numberShape = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
// eslint-disable-next-line no-control-regex -- JSON forbids exactly these in strings (RFC 8259 §7)
const stringShape = /"(?:[^"\\\u0000-\u001f]|\\.)*"/y;

const words: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', Number.NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);

/** A JSON reader that keeps every digit of an integer and knows Python's words for numbers that JSON lacks. */
export class LosslessReader {
  readonly #text: string;
  #at = 0;

  /** @param text - its nesting is bounded already. */
  constructor(text: string) {
    this.#text = text;
  }

  /** @throws SyntaxError that names the position. */
  read(): unknown {
    const value = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#error('nothing may follow the value');
    return value;
  }

  #value(): unknown {
    this.#skipSpace();
    const first = this.#text[this.#at];
    if (first === '{') return this.#object();
    if (first === '[') return this.#array();
    if (first === '"') return this.#string();
    for (const [word, value] of words) if (this.#text.startsWith(word, this.#at)) return this.#take(word.length, value);
    return this.#number();
  }

  #object(): unknown {
    const entries: [string, unknown][] = [];
    this.#list('}', () => {
      const name = this.#string();
      this.#skipSpace();
      if (this.#text[this.#at] !== ':') throw this.#error('a colon is missing');
      this.#at += 1;
      entries.push([name, this.#value()]);
    });
    // Not by assignment: a field named __proto__ must stay a field.
    return Object.fromEntries(entries);
  }

  #array(): unknown {
    const items: unknown[] = [];
    this.#list(']', () => void items.push(this.#value()));
    return items;
  }

  #list(end: string, readItem: () => void): void {
    this.#at += 1;
    this.#skipSpace();
    if (this.#text[this.#at] === end) return this.#take(1, undefined);
    for (;;) {
      this.#skipSpace();
      readItem();
      this.#skipSpace();
      const next = this.#text[this.#at];
      this.#at += 1;
      if (next === end) return;
      if (next !== ',') throw this.#error(`"," or "${end}" is missing`);
    }
  }

  #string(): string {
    stringShape.lastIndex = this.#at;
    const match = stringShape.exec(this.#text);
    if (match === null) throw this.#error('a string is missing or broken');
    this.#at += match[0].length;
    return JSON.parse(match[0]) as string;
  }

  #number(): number | bigint {
    numberShape.lastIndex = this.#at;
    const match = numberShape.exec(this.#text);
    if (match === null) throw this.#error('a value is missing or broken');
    this.#at += match[0].length;
    const value = Number(match[0]);
    const isInteger = match[1] === undefined && match[2] === undefined;
    return isInteger && !Number.isSafeInteger(value) ? BigInt(match[0]) : value;
  }

  #skipSpace(): void {
    space.lastIndex = this.#at;
    space.exec(this.#text);
    this.#at = space.lastIndex;
  }

  #take<T>(length: number, value: T): T {
    this.#at += length;
    return value;
  }

  #error(why: string): SyntaxError {
    return new SyntaxError(`not JSON at position ${this.#at}: ${why}`);
  }
}
