import { systemClock } from '@torcello/platform';
import { isMessagingError, type ErrorCode, type MessagingError } from '../errors.js';

/** How long a sentence waits for something that has to happen. */
export const patienceMs = 20_000;

/** @throws Error that says what was expected. */
export function expect(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(`expected: ${what}`);
}

export function expectEqual(actual: unknown, wanted: unknown, what: string): void {
  const [found, expected] = [JSON.stringify(actual), JSON.stringify(wanted)];
  expect(found === expected, `${what}: ${expected}, found ${found}`);
}

/** The error with which a promise rejects. @throws Error when it resolves, or rejects with another code. */
export async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<MessagingError> {
  const outcome = await within(
    promise.then(
      () => 'it resolved',
      (error: unknown) => error,
    ),
    `an error ${code}`,
  );
  if (isMessagingError(outcome, code)) return outcome;
  throw new Error(`expected: an error ${code}, found ${String(outcome)}`, { cause: outcome });
}

/** What the promise resolves with, unless it takes longer than a test's patience. */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let giveUp: (error: Error) => void = () => undefined;
  const late = new Promise<never>((_, reject) => (giveUp = reject));
  const timer = systemClock.after(patienceMs, () => giveUp(new Error(`waited ${patienceMs} ms in vain for ${what}`)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.cancel();
  }
}

/** Collects what comes, and waits for counts of it. */
export class Collected<T> {
  readonly items: T[] = [];
  #wake: () => void = () => undefined;

  readonly add = (item: T): void => {
    this.items.push(item);
    this.#wake();
  };

  /** Resolves when at least so many are there. */
  async atLeast(count: number, what: string): Promise<readonly T[]> {
    const waiting = (async (): Promise<void> => {
      while (this.items.length < count) await new Promise<void>((resolve) => (this.#wake = resolve));
    })();
    await within(waiting, `${count} ${what}, ${this.items.length} came`);
    return this.items;
  }
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (body: Uint8Array): string => new TextDecoder().decode(body);
