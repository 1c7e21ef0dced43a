import { agentsExchange, isMuranoQueue, muranoAnswersMailbox, muranoQueueArguments } from '@torcello/contracts';
import type { Mailboxes, Transport } from '@torcello/messaging';

/** Declares the queue of a real muranoagent as Murano's engine would; doing it again makes it live on. */
export async function declareMuranoQueue(transport: Transport, queue: string): Promise<void> {
  await transport.ensure(
    { kind: 'mailbox', source: { queue }, reachedBy: [], options: { foreignArguments: muranoQueueArguments } },
    { isRestored: false },
  );
}

/** Where the answers come in. */
export async function openMuranoAnswers(boxes: Mailboxes): Promise<void> {
  const reachedBy = [{ exchange: agentsExchange, routingKey: '*.murano' }];
  await boxes.open(muranoAnswersMailbox, { isRestored: true, reachedBy });
}

/** Mailboxes of machines of every kind: each is opened as its agent needs it. */
export function mailboxesOfMachines(boxes: Mailboxes, transport: Transport): Pick<Mailboxes, 'open' | 'delete'> {
  return {
    open: (name, options) => (isMuranoQueue(name) ? declareMuranoQueue(transport, name) : boxes.open(name, options)),
    delete: (name) => boxes.delete(name),
  };
}
