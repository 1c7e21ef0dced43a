import { hexId } from '@torcello/platform';
import type { MailboxEndRow } from '../database/mailbox-tables.js';
import type { Work } from '../database/store.js';
import type { MachineRow } from '../database/tables.js';
import { apiLimits } from '../limits.js';
import { isoTime } from '../times.js';
import { contactAtMs, wasNeverRead } from './contact.js';
import type { EndParts } from './end-parts.js';
import { endPlans } from './end-plans.js';

/**
 * The mailbox is gone at the broker. Plans that were certainly not delivered end now; the event with the inventory is
 * written in the same transaction.
 */
export async function finishEnd(parts: EndParts, work: Work, mailbox: string): Promise<void> {
  const { context } = parts;
  const end = await endOf(work, mailbox);
  if (end === undefined || end.state !== 'closing') return;
  const now = context.clock.now();
  await work.db
    .updateTable('mailbox_ends')
    .set({ state: 'closed', closed_at: now, settle_at: now + parts.settleMs })
    .where('mailbox', '=', mailbox)
    .execute();
  const machine = await machineOf(work, mailbox);
  if (machine !== undefined) {
    await work.db.updateTable('machines').set({ is_mailbox_declared: 0 }).where('id', '=', machine.id).execute();
    await endPlans(parts, work, { end, planIds: await certainlyUnread(work, { end, machine }) });
  }
  await writeEvent(parts, work, { ...end, closed_at: now });
}

/** When no letter can be on its way any more, silence tells the rest, where it was listened to all the time. */
export async function settleEnd(parts: EndParts, work: Work, mailbox: string): Promise<void> {
  const { context, presence } = parts;
  const end = await endOf(work, mailbox);
  if (end === undefined || end.state !== 'closed') return;
  const machine = await machineOf(work, mailbox);
  const open = machine === undefined ? [] : await openPlans(work, { machine, scheduledBeforeMs: end.closed_at ?? 0 });
  const unread = open.filter(
    (plan) =>
      machine !== undefined &&
      (wasNeverRead(machine) ||
        (contactAtMs(machine) < plan.scheduled_at && presence.hasListenedSince(plan.scheduled_at))),
  );
  await endPlans(parts, work, { end, planIds: unread.map((plan) => plan.plan_id) });
  const isReopening = end.is_reopening === 1 && machine !== undefined;
  await work.db
    .updateTable('mailbox_ends')
    .set({ state: isReopening ? 'reopened' : 'settled' })
    .where('mailbox', '=', mailbox)
    .execute();
  if (isReopening) work.afterCommit(() => context.notices.tell({ type: 'mailboxes' }));
}

/**
 * Plans that were made for a machine whose mailbox had ended cannot be put anywhere: they end as those that were in it.
 * Whoever still tries to put one hears of it before a fresh mailbox is there.
 */
export async function endStranded(parts: EndParts, work: Work, mailbox: string): Promise<void> {
  const end = await endOf(work, mailbox);
  const machine = await machineOf(work, mailbox);
  if (end?.state !== 'settled' || machine === undefined || machine.mailbox_closed_at === null) return;
  const open = await openPlans(work, { machine, scheduledBeforeMs: Number.MAX_SAFE_INTEGER });
  const stranded = open.filter(({ scheduled_at }) => scheduled_at >= (end.closed_at ?? Infinity));
  await endPlans(parts, work, { end, planIds: stranded.map((plan) => plan.plan_id) });
  await work.db
    .updateTable('mailbox_ends')
    .set({ state: 'closed', settle_at: parts.context.clock.now() + parts.settleMs })
    .where('mailbox', '=', mailbox)
    .execute();
}

async function endOf(work: Work, mailbox: string): Promise<MailboxEndRow | undefined> {
  return work.db.selectFrom('mailbox_ends').selectAll().where('mailbox', '=', mailbox).executeTakeFirst();
}

async function machineOf(work: Work, mailbox: string): Promise<MachineRow | undefined> {
  return work.db.selectFrom('machines').selectAll().where('mailbox', '=', mailbox).executeTakeFirst();
}

/** Still in the mailbox: never handed to a reader, or handed to one of which there was no sign since before the plan. */
async function certainlyUnread(
  work: Work,
  of: { readonly end: MailboxEndRow; readonly machine: MachineRow },
): Promise<readonly string[]> {
  const { end, machine } = of;
  const open = await openPlans(work, { machine, scheduledBeforeMs: Number.MAX_SAFE_INTEGER });
  if (wasNeverRead(machine)) return open.map((plan) => plan.plan_id);
  const letters = await work.db
    .selectFrom('mailbox_letters')
    .select(['plan_id', 'is_redelivered'])
    .where('mailbox', '=', end.mailbox)
    .where('kind', '=', 'plan')
    .where('is_in_broker', '>', 0)
    .execute();
  const wasSeen = new Map(letters.map((letter) => [letter.plan_id, letter.is_redelivered === 1]));
  const contactMs = contactAtMs(machine);
  return open
    .filter(
      ({ plan_id, scheduled_at }) =>
        wasSeen.get(plan_id) === false || (wasSeen.has(plan_id) && contactMs < scheduled_at),
    )
    .map((plan) => plan.plan_id);
}

/** Plans of a machine that it never said to have. */
async function openPlans(
  work: Work,
  of: { readonly machine: MachineRow; readonly scheduledBeforeMs: number },
): Promise<readonly { readonly plan_id: string; readonly scheduled_at: number }[]> {
  return work.db
    .selectFrom('plans')
    .select(['plan_id', 'scheduled_at'])
    .where('machine_id', '=', of.machine.id)
    .where('outcome', 'is', null)
    .where('delivered_at', 'is', null)
    .where('scheduled_at', '<', of.scheduledBeforeMs)
    .execute();
}

async function writeEvent({ context }: EndParts, work: Work, end: MailboxEndRow): Promise<void> {
  const max = apiLimits.inventoryLettersMax.value;
  const letters = await work.db
    .selectFrom('mailbox_letters')
    .leftJoin('plans', 'plans.plan_id', 'mailbox_letters.plan_id')
    .select(['letter_id', 'kind', 'bytes', 'is_in_broker', 'mailbox_letters.plan_id as plan_id'])
    .select(['deployment_id', 'stage', 'outcome', 'stored_at'])
    .where('mailbox', '=', end.mailbox)
    .orderBy('plans.scheduled_at')
    .orderBy('letter_id')
    .execute();
  const eventId = hexId(context.random);
  const payload = {
    eventId,
    mailbox: end.mailbox,
    machine: { id: end.machine_id, name: end.machine_name },
    environment: { id: end.environment_id, name: end.environment_name },
    reason: end.reason,
    lifetimeMs: end.lifetime_ms,
    ...(end.last_contact_at === null ? {} : { lastContactAt: isoTime(end.last_contact_at) }),
    closedAt: isoTime(end.closed_at ?? context.clock.now()),
    lettersTotal: letters.length,
    letters: letters.slice(0, max).map((letter) => ({
      id: letter.letter_id,
      kind: letter.kind,
      bytes: letter.bytes,
      wasInMailbox: letter.is_in_broker > 0,
      ...(letter.plan_id === null ? {} : { planId: letter.plan_id }),
      ...(letter.deployment_id === null ? {} : { deploymentId: letter.deployment_id, stage: letter.stage }),
      ...(letter.stored_at === null ? {} : { storedAt: isoTime(letter.stored_at) }),
      ...(letter.deployment_id === null ? {} : { became: letter.outcome ?? 'unknown' }),
    })),
  };
  const type = end.reason === 'lifetime' ? 'mailbox.expired' : 'mailbox.deleted';
  await work.db
    .insertInto('events')
    .values({ event_id: eventId, type, payload: JSON.stringify(payload), created_at: context.clock.now() })
    .execute();
}
