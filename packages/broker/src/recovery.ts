import type { Users, User } from './access/users.js';
import type { BrokerLimits } from './limits.js';
import type { Queue } from './queue/queue.js';
import { sharedBodiesNumber } from './queue/shared-bodies.js';
import type { SharedBodies } from './queue/shared-bodies.js';
import { StoreDamage } from './store/message-store.js';
import type { MessageStore } from './store/message-store.js';
import type { StopRecord } from './orderly-stop.js';
import type { PolicyRecord } from './policy/policies.js';
import { recordKinds } from './topology-records.js';
import type { BindingRecord, ExchangeRecord, QueueRecord } from './topology-records.js';
import type { Vhost } from './vhost.js';

/** What a start found in the store. */
export interface Recovered {
  readonly queues: number;
  readonly messages: number;
  /** Highest number of a queue in the store. */
  readonly queueNumberLast: number;
  /** The broker was stopped, and did not end by a crash. */
  readonly wasStopped: boolean;
}

/** Where a recovery puts what it finds. */
export interface RecoveryTarget {
  readonly users: Users;
  readonly limits: BrokerLimits;
  readonly bodies: SharedBodies;
  /** The virtual host of that name, made when it is not there. */
  vhost(name: string): Vhost;
}

/**
 * Brings back users, exchanges, queues, bindings and messages. A message whose queue is not there cannot come from a
 * crash, as both go in one transaction: it is reported as damage.
 * @throws StoreDamage.
 */
export function recoverFrom(store: MessageStore, target: RecoveryTarget): Recovered {
  const { queues, stop } = recoverEntities(store, target);
  const seenUpTo = stop === undefined ? undefined : new Map(stop.seenUpTo);
  const touched = new Set<Queue>();
  let messages = 0;
  for (const { place, value } of store.messages()) {
    if (place.queue === sharedBodiesNumber) {
      target.bodies.recover(place.position);
      continue;
    }
    const queue = queues.get(place.queue);
    if (queue === undefined) throw new StoreDamage('messages', `queue number ${place.queue} is not declared`);
    const isSeen = seenUpTo === undefined || place.position <= (seenUpTo.get(place.queue) ?? 0);
    queue.recover(value, place.position, isSeen);
    touched.add(queue);
    messages++;
  }
  target.bodies.recoveryEnded();
  for (const queue of touched) queue.recoveryEnded();
  const wasStopped = stop !== undefined;
  let queueNumberLast = 0;
  for (const number of queues.keys()) queueNumberLast = Math.max(queueNumberLast, number);
  return { queues: queues.size, messages, queueNumberLast, wasStopped };
}

interface RecoveredEntities {
  readonly queues: Map<number, Queue>;
  /** Undefined after a crash. */
  readonly stop: StopRecord | undefined;
}

function recoverEntities(store: MessageStore, target: RecoveryTarget): RecoveredEntities {
  const found = new Map<string, unknown[]>();
  for (const { key, value } of store.entities()) {
    const [kind = ''] = key.split('/');
    const values = found.get(kind) ?? [];
    if (values.length === 0) found.set(kind, values);
    values.push(JSON.parse(value));
  }
  const all = <T>(kind: string): readonly T[] => (found.get(kind) ?? []) as readonly T[];
  for (const { name } of all<{ name: string }>(recordKinds.vhost)) target.vhost(name);
  for (const user of all<User>(recordKinds.user)) target.users.recover(user);
  for (const record of all<PolicyRecord>(recordKinds.policy)) target.vhost(record.policy.vhost).recoverPolicy(record);
  for (const record of all<ExchangeRecord>(recordKinds.exchange)) target.vhost(record.vhost).recoverExchange(record);
  const queues = new Map<number, Queue>();
  for (const record of all<QueueRecord>(recordKinds.queue)) {
    queues.set(record.number, target.vhost(record.vhost).recoverQueue(record));
  }
  for (const record of all<BindingRecord>(recordKinds.binding)) target.vhost(record.vhost).recoverBinding(record);
  const [stop] = all<StopRecord>(recordKinds.stop);
  return { queues, stop };
}
