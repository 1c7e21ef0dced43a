import { mailboxes } from '@torcello/messaging';
import type { LetterStore, Transport } from '@torcello/messaging';
import type { Context } from '../context.js';
import type { Db } from '../database/store.js';
import { mailboxesOfMachines } from '../murano-agents/mailbox.js';

/**
 * The broker before this one kept mailboxes, and they went with it: those of all machines are opened here. What lay in
 * them at the old broker stays there.
 */
export async function openMachineMailboxes({ store }: Context): Promise<void> {
  await store.write(async ({ db }) => {
    await db
      .insertInto('kept_mailboxes')
      .columns(['name'])
      .expression((from) =>
        from
          .selectFrom('machines')
          .select('mailbox as name')
          .where('is_mailbox_declared', '=', 1)
          .where('mailbox_closed_at', 'is', null),
      )
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
}

/**
 * The broker before this one kept no mailboxes: letters that wait here go to the new one, in their order. What cannot be
 * brought there now is tried again at the next start.
 */
export async function bringLettersToBroker(
  context: Context,
  letters: LetterStore,
  transport: Transport,
): Promise<void> {
  const { store, logger, clock } = context;
  const kept = await store.db.selectFrom('kept_mailboxes').select('name').execute();
  if (kept.length === 0) return;
  const boxes = mailboxes(transport);
  let count = 0;
  try {
    for (const { name } of kept) {
      if (await isOfMachine(store.db, name)) {
        await mailboxesOfMachines(boxes, transport).open(name);
        for (;;) {
          const letter = await letters.next(name, [], clock.now());
          if (letter === undefined) break;
          const { id, body, headers, contentType, expiresAtMs } = letter;
          await boxes.put(name, {
            id,
            body,
            headers,
            ...(contentType === undefined ? {} : { contentType }),
            ...(expiresAtMs === undefined ? {} : { expiresMs: Math.max(1, expiresAtMs - clock.now()) }),
          });
          await letters.remove(letter.sequence);
          count += 1;
        }
      }
      await letters.delete(name);
    }
    logger.info('letters that waited in the database are in the mailboxes of the new broker', { letters: count });
  } catch (error) {
    logger.error('letters could not be brought to the new broker; the next start tries again', { error });
  }
}

/** Those of conductors' hints, and of machines that are gone, have nothing that is still wanted. */
async function isOfMachine(db: Db, mailbox: string): Promise<boolean> {
  const row = await db
    .selectFrom('machines')
    .select('id')
    .where('mailbox', '=', mailbox)
    .where('mailbox_closed_at', 'is', null)
    .executeTakeFirst();
  return row !== undefined;
}
