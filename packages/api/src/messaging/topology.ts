import { agentsExchange, heartbeatsMailbox, outputMailbox, resultsMailbox, tasksMailbox } from '@torcello/contracts';
import { mailboxes } from '@torcello/messaging';
import type { Destination, Transport } from '@torcello/messaging';
import { openMuranoAnswers } from '../murano-agents/mailbox.js';

/** Heartbeats older than the newest few say nothing. */
const heartbeatsMax = 100_000;

/**
 * Declares what the API owns at the broker: the mailbox of the conductors' hints, and the ends of everything that
 * agents send. Agents and conductors may then publish before anybody reads.
 */
export async function declareTopology(transport: Transport, heartbeatMs: number): Promise<void> {
  const boxes = mailboxes(transport);
  await boxes.open(tasksMailbox, { isRestored: true });
  await boxes.open(resultsMailbox, { isRestored: true, reachedBy: [fromAgents('*.result'), fromAgents('*.progress')] });
  // Real murano-agents come by exchanges and queues only; where there are none, there are none of them.
  if (transport.capabilities.routes) await openMuranoAnswers(boxes);
  await boxes.open(outputMailbox, { isRestored: true, reachedBy: [fromAgents('*.output')] });
  await transport.ensure({
    kind: 'shared',
    source: { queue: heartbeatsMailbox },
    reachedBy: [fromAgents('*.heartbeat')],
    options: { lengthMax: heartbeatsMax, whenFull: 'drop-oldest', messageTtlMs: heartbeatMs * 3 },
  });
}

function fromAgents(routingKey: string): Destination {
  return { exchange: agentsExchange, routingKey };
}
