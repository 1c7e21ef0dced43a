import { mailboxes } from '@torcello/messaging';
import type { Mailboxes, Transport } from '@torcello/messaging';
import { decode, encode } from './pattern.js';
import type { Answer, Pattern, Plan } from './pattern.js';
import { runAlone } from './run-alone.js';

const [plans, answers] = ['machine-1', 'answers'];

/**
 * Murano's own wrapper of 2014: a durable queue for each machine, made before the machine is there, and one for answers. Both
 * have a ttl (`x-expires`): the broker deletes them, with what is in them, when nobody read or declared them for so long.
 */
export const wrapper: Pattern = {
  name: 'durable queues',

  conductor: async (transport, onAnswer, ttlMs) => {
    for (const queue of [plans, answers]) await declare(transport, queue, ttlMs);
    const boxes = mailboxes(transport);
    const end = new AbortController();
    const reading = readAnswers(boxes, onAnswer, end.signal).catch(() => undefined);
    return {
      send: async (plan) => void (await boxes.put(plans, { id: plan.id, body: encode(plan) })),
      stop: async () => {
        end.abort();
        await reading;
      },
    };
  },

  agent: async (transport, work) => {
    const boxes = mailboxes(transport);
    const end = new AbortController();
    const serve = async (): Promise<void> => {
      for await (const letter of boxes.read(plans, { signal: end.signal })) {
        const plan = decode<Plan>(letter.body);
        const answer: Answer = { planId: plan.id, text: await work(plan) };
        if (end.signal.aborted) return;
        await boxes.put(answers, { id: plan.id, body: encode(answer) });
        // Last: whoever dies before this is followed by somebody who gets the plan again.
        letter.accept();
      }
    };
    // A connection that ends in the middle of a plan ends the agent: the plan goes back to its queue.
    const serving = serve().catch(() => undefined);
    return {
      stop: async () => {
        end.abort();
        await serving;
      },
    };
  },
};

function declare(transport: Transport, queue: string, ttlMs: number): Promise<void> {
  const options = { expiresMs: ttlMs };
  return transport.ensure({ kind: 'mailbox', source: { queue }, reachedBy: [], options });
}

async function readAnswers(boxes: Mailboxes, onAnswer: (answer: Answer) => void, signal: AbortSignal): Promise<void> {
  for await (const letter of boxes.read(answers, { signal })) {
    onAnswer(decode<Answer>(letter.body));
    letter.accept();
  }
}

await runAlone(import.meta, wrapper);
