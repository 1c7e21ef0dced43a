import { isMessagingError, type Delivery, type Transport } from '@torcello/messaging';
import { sleep } from '@torcello/platform';
import type { ArrivedPlan } from './plan-store.js';

const retryMsMax = 10_000;

/**
 * Reads the input queue until the signal aborts, never declaring it: it waits while it is not there (Murano section
 * 1.6, where the wait grows to 60 s). `store` is called for one plan at a time; the plan is settled when it is stored.
 * @throws MessagingError what no waiting cures.
 */
export async function readPlans(options: {
  readonly transport: Transport;
  readonly queue: string;
  readonly signal: AbortSignal;
  /** Undo is called when the message comes again because its settling was too late. */
  readonly store: (plan: ArrivedPlan) => Promise<{ readonly keep: () => void; readonly undo: () => Promise<void> }>;
}): Promise<void> {
  const { transport, queue, signal, store } = options;
  let last: Promise<void> = Promise.resolve();
  const take = async (delivery: Delivery): Promise<void> => {
    if (signal.aborted) return void delivery.release();
    const stored = await store(arrivedPlan(delivery));
    if (delivery.accept()) stored.keep();
    else await stored.undo();
  };
  for (let retryMs = 500; !signal.aborted; retryMs = Math.min(retryMs * 1.5, retryMsMax)) {
    const failed = new AbortController();
    const onDelivery = (delivery: Delivery): void => {
      last = last.then(() => take(delivery)).catch((error: unknown) => failed.abort(error));
    };
    await consumeOnce({ transport, queue, signal, onDelivery, failed: failed.signal });
    await last;
    if (failed.signal.aborted) throw failed.signal.reason as Error;
    if (signal.aborted) return;
    await sleep(transport.clock, retryMs, signal).catch(() => undefined);
  }
}

async function consumeOnce(options: {
  readonly transport: Transport;
  readonly queue: string;
  readonly signal: AbortSignal;
  readonly failed: AbortSignal;
  readonly onDelivery: (delivery: Delivery) => void;
}): Promise<void> {
  const { transport, queue, signal, failed, onDelivery } = options;
  const stop = AbortSignal.any([signal, failed]);
  try {
    const subscription = await transport.consume({ queue }, { credit: 1, onDelivery, signal: stop });
    const stopped = new Promise<undefined>((resolve) => {
      if (stop.aborted) resolve(undefined);
      else stop.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    const reason = await Promise.race([subscription.ended, stopped]);
    if (stop.aborted) await subscription.stop();
    if (reason !== undefined) throw reason;
  } catch (error) {
    if (stop.aborted) return;
    const isWorthWaiting = isMessagingError(error) && (error.retryable || error.code === 'NOT_FOUND');
    if (!isWorthWaiting) throw error;
  }
}

function arrivedPlan({ message }: Delivery): ArrivedPlan {
  const { messageId, replyTo } = message.properties;
  const headerId = message.headers['message_id'];
  // The Kombu port of 2014 put the id into a header (Murano section 1.1).
  const id = messageId ?? (typeof headerId === 'string' ? headerId : '');
  return { body: message.body, signature: bytesOf(message.headers['signature']), id, replyTo: replyTo ?? null };
}

function bytesOf(header: unknown): Uint8Array {
  if (header instanceof Uint8Array) return header;
  return typeof header === 'string' ? Buffer.from(header, 'latin1') : new Uint8Array();
}
