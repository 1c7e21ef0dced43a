import type { Broker } from '../broker.js';
import type { StoppedQueue } from '../last-stop.js';

/** A line for each queue of which something does not come along, as the broker that was stopped had it and this one has not. */
export function leftBehind(broker: Broker, held: readonly StoppedQueue[]): string[] {
  return held.flatMap(({ vhost, queue, messages, isKept }) => {
    const name = `${vhost} ${JSON.stringify(queue)}`;
    if (!isKept)
      return [`not moved: ${name}, which is not durable or belongs to one connection, with ${counted(messages)}`];
    const there = broker.vhosts.get(vhost)?.queues.get(queue)?.readyCount ?? 0;
    if (there >= messages) return [];
    return [
      `not moved: ${counted(messages - there)} of ${name}, which were not persistent, or ran out or were acknowledged at the stop`,
    ];
  });
}

function counted(messages: number): string {
  return `${messages} ${messages === 1 ? 'message' : 'messages'}`;
}
