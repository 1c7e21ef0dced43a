import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const tailBytes = 16_384;

/**
 * The last lines of a log, for people: of a JSON line the message and the error, other lines as they are.
 * `fromOffset` leaves out what was written before.
 */
export function lastLines(file: string, count: number, fromOffset = 0): readonly string[] {
  const lines = readTail(file, fromOffset)
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.slice(-count).map(forPeople);
}

function readTail(file: string, fromOffset: number): string {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    return '';
  }
  try {
    const { size } = fstatSync(descriptor);
    const buffer = Buffer.alloc(Math.max(0, Math.min(size - fromOffset, tailBytes)));
    const length = readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8', 0, length);
  } finally {
    closeSync(descriptor);
  }
}

function forPeople(line: string): string {
  if (!line.startsWith('{')) return line;
  try {
    const { message, error } = JSON.parse(line) as { message?: unknown; error?: unknown };
    if (typeof message !== 'string') return line;
    const detail = (error as { message?: unknown } | undefined)?.message;
    return typeof detail === 'string' && !message.includes(detail) ? `${message}: ${detail}` : message;
  } catch {
    return line;
  }
}
