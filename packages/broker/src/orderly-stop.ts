import type { StoreOperation } from './store/message-store.js';
import { recordKey, recordKinds } from './topology-records.js';
import type { Vhost } from './vhost.js';

/**
 * The mark of an orderly stop: written last, and taken away before anything is delivered again. Without it, after a
 * crash, nobody knows which messages were handed out, and all of them count as redelivered.
 */
export interface StopRecord {
  /** Queues by number, each with the position up to which its messages were handed out; others handed out none. */
  readonly seenUpTo: readonly (readonly [number: number, position: number])[];
}

const key = recordKey(recordKinds.stop, 'orderly');

/** The change that marks the stop. To be the last one, when no message can be handed out any more. */
export function markOfStop(vhosts: Iterable<Vhost>): StoreOperation {
  const seenUpTo: [number, number][] = [];
  for (const { queues } of vhosts) {
    for (const { isKept, readyCount, unsettledCount, seenUpTo: position, definition } of queues.values()) {
      const hasMessages = readyCount + unsettledCount > 0;
      if (isKept && hasMessages && position > 0) seenUpTo.push([definition.number, position]);
    }
  }
  const record: StopRecord = { seenUpTo };
  return { kind: 'put-entity', key, value: JSON.stringify(record) };
}

/** The change that takes the mark away. */
export const forgetStop: StoreOperation = { kind: 'delete-entity', key };
