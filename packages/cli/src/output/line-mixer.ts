/** A line is shown in pieces when it is longer, so that a program without line feeds is seen too. */
const lineCharactersMax = 16_384;

/** Puts the output of several writers under each other, line by line, with the writer's name in front. */
export class LineMixer {
  readonly #rests = new Map<string, string>();
  readonly #write: (line: string) => void;

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  push(writer: string, text: string): void {
    const lines = ((this.#rests.get(writer) ?? '') + text).split('\n');
    const rest = lines.pop() ?? '';
    for (const line of lines) this.#write(`${writer} | ${line}`);
    if (rest.length <= lineCharactersMax) this.#rests.set(writer, rest);
    else {
      this.#write(`${writer} | ${rest}`);
      this.#rests.delete(writer);
    }
  }

  /** Shows what this writer wrote without a line feed at its end. */
  endOf(writer: string): void {
    const rest = this.#rests.get(writer) ?? '';
    if (rest !== '') this.#write(`${writer} | ${rest}`);
    this.#rests.delete(writer);
  }

  /** The same for all of them. */
  end(): void {
    for (const writer of this.#rests.keys()) this.endOf(writer);
  }
}
