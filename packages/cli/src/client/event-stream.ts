/** One event of a `text/event-stream` answer (HTML standard, "Server-sent events"). */
export interface StreamEvent {
  readonly event: string;
  readonly data: string;
  /** The last id that the stream gave, also by an earlier event. */
  readonly id: string | undefined;
}

/** Characters of one line; a longer one is no stream of ours. */
const lineCharactersMax = 4_194_304;

/** Takes pieces of a stream, in whatever sizes they come, and gives the events that they complete. */
export class EventStreamParser {
  #rest = '';
  #event = '';
  #data: string[] = [];
  #id: string | undefined;

  /** @throws RangeError when a line is longer than the limit. */
  push(text: string): readonly StreamEvent[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > lineCharactersMax) throw new RangeError('a line of the event stream is too long');
    return lines.flatMap((line) => this.#line(line.endsWith('\r') ? line.slice(0, -1) : line));
  }

  #line(line: string): readonly StreamEvent[] {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    if (field === 'data') this.#data.push(value);
    if (field === 'id' && !value.includes('\0')) this.#id = value;
    return [];
  }

  #dispatch(): readonly StreamEvent[] {
    const event = { event: this.#event === '' ? 'message' : this.#event, data: this.#data.join('\n'), id: this.#id };
    const isEmpty = this.#data.length === 0;
    this.#event = '';
    this.#data = [];
    return isEmpty ? [] : [event];
  }
}

/** The events of an answer's body, until it ends. */
export async function* eventsOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<StreamEvent, void, void> {
  if (body === null) return;
  const parser = new EventStreamParser();
  const decoder = new TextDecoder();
  for await (const chunk of body) yield* parser.push(decoder.decode(chunk, { stream: true }));
}
