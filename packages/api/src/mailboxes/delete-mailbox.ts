import type { Db, Work } from '../database/store.js';
import { sleep } from '@torcello/platform';
import { Refusal } from '../errors.js';
import { beginEnd } from './begin-end.js';
import type { EndParts } from './end-parts.js';
import type { MailboxKeeper } from './keeper.js';
import { noMailbox } from './redeliver.js';

/** What became of the letters of a mailbox that somebody ended. */
export interface DeletedMailbox {
  readonly mailbox: string;
  /** `closing`: the broker is away, and the rest follows when it is back. `forgotten`: nothing of it is kept any more. */
  readonly state: 'closing' | 'closed' | 'forgotten';
  readonly plans: readonly {
    readonly planId: string;
    readonly deploymentId?: string;
    /** How the plan ended; `unknown` while it may be with the machine, which tells when it is back. */
    readonly became: string;
  }[];
}

/** So long the broker is waited for before the answer says that the rest follows. */
const waitMs = 5_000;

/**
 * Ends a mailbox because somebody wants it, and says what becomes of the plans in it. Of a mailbox whose machine is gone
 * it forgets the inventory.
 * @throws Refusal not_found, mailbox_closed.
 */
export async function deleteMailbox(
  parts: EndParts & { readonly keeper: MailboxKeeper },
  mailbox: string,
): Promise<DeletedMailbox> {
  const { context, keeper } = parts;
  const isForgotten = await context.store.write((work) => begin(parts, work, mailbox));
  if (isForgotten) return { mailbox, state: 'forgotten', plans: [] };
  const waited = new AbortController();
  await Promise.race([
    keeper.emptyNow(mailbox).catch((error: unknown) => {
      context.logger.warn('a mailbox is emptied later', { mailbox, error });
    }),
    sleep(context.clock, waitMs, waited.signal).catch(() => undefined),
  ]);
  waited.abort();
  return readDeleted(context.store.db, mailbox);
}

/** True when there was only an inventory, which is gone now. */
async function begin(parts: EndParts, work: Work, mailbox: string): Promise<boolean> {
  const machine = await work.db.selectFrom('machines').selectAll().where('mailbox', '=', mailbox).executeTakeFirst();
  const end = await work.db.selectFrom('mailbox_ends').selectAll().where('mailbox', '=', mailbox).executeTakeFirst();
  if (machine === undefined && end === undefined) throw noMailbox(mailbox);
  if (end?.state === 'closing') return false;
  if (machine === undefined) {
    await work.db.deleteFrom('mailbox_letters').where('mailbox', '=', mailbox).execute();
    await work.db.deleteFrom('mailbox_ends').where('mailbox', '=', mailbox).execute();
    return true;
  }
  if (end !== undefined && end.state !== 'reopened')
    throw new Refusal('mailbox_closed', `the mailbox of ${machine.name} has ended already`, {
      cure: `torcello machine delete ${machine.id} takes the machine away; torcello mailbox redeliver ${mailbox} opens it anew`,
    });
  await beginEnd(parts, work, { machine, reason: 'deleted' });
  return false;
}

async function readDeleted(db: Db, mailbox: string): Promise<DeletedMailbox> {
  const end = await db.selectFrom('mailbox_ends').select('state').where('mailbox', '=', mailbox).executeTakeFirst();
  const letters = await db
    .selectFrom('mailbox_letters')
    .innerJoin('plans', 'plans.plan_id', 'mailbox_letters.plan_id')
    .select(['plans.plan_id', 'deployment_id', 'outcome'])
    .where('mailbox', '=', mailbox)
    .where('kind', '=', 'plan')
    .orderBy('plans.scheduled_at')
    .execute();
  return {
    mailbox,
    state: end?.state === 'closing' ? 'closing' : 'closed',
    plans: letters.map(({ plan_id, deployment_id, outcome }) => ({
      planId: plan_id,
      deploymentId: deployment_id,
      became: outcome ?? 'unknown',
    })),
  };
}
