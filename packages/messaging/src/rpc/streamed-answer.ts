import { limits } from '../limits.js';
import { RemoteFailure } from './failure.js';
import type { IncomingCall } from './endpoint.js';
import type { ProgressSender } from './progress-sender.js';

/**
 * The result of what a method returned: the value itself, or a promise of it. An async iterable is a streamed answer: item by item as progress, with what a
 * generator returns as the result; for a caller that reads no progress (Python, `call`) an array of the items.
 */
export function answerOf(
  returned: unknown,
  progress: ProgressSender | undefined,
  call: Pick<IncomingCall, 'signal'>,
): unknown {
  if (typeof returned !== 'object' || returned === null) return returned;
  if (!('then' in returned) && !isAsyncIterable(returned)) return returned;
  return wholeAnswer(returned, progress, call);
}

async function wholeAnswer(
  returned: unknown,
  progress: ProgressSender | undefined,
  call: Pick<IncomingCall, 'signal'>,
): Promise<unknown> {
  const value = await returned;
  if (!isAsyncIterable(value)) return value;
  const items: unknown[] = [];
  const take =
    progress === undefined ? (item: unknown) => gather(items, item) : (item: unknown) => progress.report(item);
  const iterator = value[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) return progress === undefined ? items : next.value;
      await take(next.value);
      call.signal.throwIfAborted();
    }
  } catch (error) {
    await iterator.return?.();
    throw error;
  }
}

async function gather(items: unknown[], item: unknown): Promise<void> {
  if (items.length >= limits.gatheredItemsMax) {
    const message = `the answer is a stream of more than ${limits.gatheredItemsMax} items: read it with a call handle`;
    throw new RemoteFailure({ class: 'ValueError', module: 'builtins', message, code: 'STREAM_TOO_LONG' });
  }
  items.push(item);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
