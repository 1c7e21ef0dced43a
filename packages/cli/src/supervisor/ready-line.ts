import type { Readable } from 'node:stream';

/** The one line of JSON that a program prints when it serves. */
export interface ReadyLine {
  readonly ready: true;
  readonly [field: string]: unknown;
}

const lineBytesMax = 65_536;

/** Calls `onReady` for the first line of the stream that is a ready line; everything else on it is read and dropped. */
export function readyLineOf(stream: Readable, onReady: (line: ReadyLine) => void): void {
  let text = '';
  let isFound = false;
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    if (isFound) return;
    const lines = (text + chunk).split('\n');
    text = (lines.pop() ?? '').slice(0, lineBytesMax);
    const line = lines.map(parseReadyLine).find((candidate) => candidate !== undefined);
    if (line === undefined) return;
    isFound = true;
    onReady(line);
  });
}

/** Undefined when the line is no ready line. */
export function parseReadyLine(text: string): ReadyLine | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(text) as { ready?: unknown };
    return value.ready === true ? (value as ReadyLine) : undefined;
  } catch {
    return undefined;
  }
}

/** A text field of a ready line. @throws TypeError when the program did not say it. */
export function readyText(line: ReadyLine, field: string): string {
  const value = line[field];
  if (typeof value !== 'string') throw new TypeError(`a ready line without "${field}": ${JSON.stringify(line)}`);
  return value;
}
