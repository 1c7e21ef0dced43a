import { Exchange } from '../exchange.js';
import type { Queue } from '../queue/queue.js';
import type { Vhost } from '../vhost.js';

/** The exchanges that dead letters of a queue may pass: its dead-letter exchange and what is bound to it or stands in for it. */
export function reachOf(vhost: Vhost, queue: Queue): ReadonlySet<string> {
  const start = queue.options.deadLetterExchange;
  const found = new Set<string>(start === undefined || start === '' ? [] : [start]);
  for (const name of found) {
    const exchange = vhost.exchanges.get(name);
    if (exchange === undefined) continue;
    if (exchange.alternate !== undefined) found.add(exchange.alternate);
    for (const { destination } of exchange.bindings.values()) {
      if (destination instanceof Exchange) found.add(destination.name);
    }
  }
  return found;
}
