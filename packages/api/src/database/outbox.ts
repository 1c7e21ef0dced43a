import { isMuranoQueue, tasksMailbox, letterKindHeader } from '@torcello/contracts';
import type { ReceiptLetter, TaskHint } from '@torcello/contracts';
import { hexId } from '@torcello/platform';
import type { Context } from '../context.js';
import type { Work } from './store.js';

/** Writes a hint "look at this deployment" that leaves when the transaction stands. */
export async function writeHint(
  context: Context,
  work: Work,
  hint: { readonly deploymentId: string; readonly expiresMs: number },
): Promise<void> {
  const body: TaskHint = { deploymentId: hint.deploymentId };
  await write(context, work, {
    mailbox: tasksMailbox,
    message_id: `hint-${hexId(context.random)}`,
    subject: hint.deploymentId,
    headers: '{}',
    body: JSON.stringify(body),
    expires_ms: hint.expiresMs,
  });
}

/** Writes the receipt of a result: the agent may forget the plan. A real muranoagent forgets by itself and knows none. */
export async function writeReceipt(
  context: Context,
  work: Work,
  receipt: { readonly planId: string; readonly mailbox: string },
): Promise<void> {
  if (isMuranoQueue(receipt.mailbox)) return;
  const body: ReceiptLetter = { planId: receipt.planId };
  await write(context, work, {
    mailbox: receipt.mailbox,
    message_id: `receipt-${hexId(context.random)}`,
    subject: receipt.planId,
    headers: JSON.stringify({ [letterKindHeader]: 'receipt' }),
    body: JSON.stringify(body),
    expires_ms: null,
  });
}

interface Letter {
  readonly mailbox: string;
  readonly message_id: string;
  readonly subject: string;
  readonly headers: string;
  readonly body: string;
  readonly expires_ms: number | null;
}

async function write(context: Context, work: Work, letter: Letter): Promise<void> {
  await work.db
    .insertInto('outbox')
    .values({ ...letter, created_at: context.clock.now() })
    .execute();
  work.afterCommit(() => context.notices.tell({ type: 'outbox' }));
}
