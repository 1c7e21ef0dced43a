import { writeAudit } from '../database/audit.js';
import type { Work } from '../database/store.js';
import type { MachineRow } from '../database/tables.js';
import { Refusal } from '../errors.js';
import type { EndParts } from './end-parts.js';
import { putAgain, reopenMailbox } from './reopen.js';

export interface Redelivery {
  readonly mailbox: string;
  /** Letters that are put into it again, under their own ids. */
  readonly redelivered: readonly LetterName[];
  /** Letters that are not, and why. */
  readonly left: readonly (LetterName & { readonly reason: string; readonly cure: string })[];
}

interface LetterName {
  readonly id: string;
  readonly kind: string;
  readonly deploymentId?: string;
}

interface Candidate {
  readonly letter_id: string;
  readonly kind: string;
  readonly plan_id: string | null;
  readonly body: Uint8Array | null;
  readonly deployment_id: string | null;
  readonly outcome: string | null;
}

/**
 * Puts what was in a mailbox into it again, all of it or one letter: plans that have not ended, with the bytes and ids that
 * they had, so that an agent which knows one drops it. A mailbox that has ended is opened anew for that. What ended does
 * not come back: a resume makes another attempt.
 * @throws Refusal not_found, mailbox_closed.
 */
export async function redeliver(
  parts: EndParts,
  order: { readonly mailbox: string; readonly letterId: string | undefined },
): Promise<Redelivery> {
  const { context } = parts;
  const { mailbox, letterId } = order;
  return context.store.write(async (work) => {
    const machine = await machineOf(work, mailbox);
    const all = await candidates(work, machine);
    const wanted = letterId === undefined ? all : all.filter((letter) => letter.letter_id === letterId);
    if (letterId !== undefined && wanted.length === 0)
      throw new Refusal('not_found', `no letter ${letterId} is or was in ${mailbox}`, {
        cure: `torcello mailbox show ${mailbox}`,
      });
    const redelivered: LetterName[] = [];
    const left: Redelivery['left'][number][] = [];
    if (machine.mailbox_closed_at !== null) await reopenMailbox(context, work, machine);
    for (const letter of wanted) {
      const name = nameOf(letter);
      const isPut = letter.outcome === null && (await putAgain(context, work, { ...letter, mailbox }));
      if (isPut) redelivered.push(name);
      else left.push({ ...name, ...leftBecause(letter) });
    }
    const detail = { mailbox, redelivered: redelivered.length, left: left.length };
    await writeAudit(context, work, { actor: 'admin', action: 'mailbox.redelivered', target: machine.id, detail });
    work.afterCommit(() => context.notices.tell({ type: 'mailboxes' }));
    return { mailbox, redelivered, left };
  });
}

async function machineOf(work: Work, mailbox: string): Promise<MachineRow> {
  const machine = await work.db.selectFrom('machines').selectAll().where('mailbox', '=', mailbox).executeTakeFirst();
  if (machine !== undefined) return machine;
  const end = await work.db
    .selectFrom('mailbox_ends')
    .select('machine_name')
    .where('mailbox', '=', mailbox)
    .executeTakeFirst();
  if (end === undefined) throw noMailbox(mailbox);
  throw new Refusal('mailbox_closed', `the machine ${end.machine_name} of this mailbox was taken away`, {
    cure: 'torcello resume DEPLOYMENT makes another attempt on the machines that are there',
  });
}

export function noMailbox(mailbox: string): Refusal {
  return new Refusal('not_found', `no mailbox ${mailbox}`, { cure: 'torcello mailbox list' });
}

/** What waits in it as far as we know, and what was in it when it ended last. */
async function candidates(work: Work, machine: MachineRow): Promise<readonly Candidate[]> {
  const waiting = await work.db
    .selectFrom('plans')
    .select(['plan_id as letter_id', 'plan_id', 'deployment_id', 'outcome'])
    .where('machine_id', '=', machine.id)
    .where('outcome', 'is', null)
    .where('delivered_at', 'is', null)
    .orderBy('scheduled_at')
    .execute();
  const ended = await work.db
    .selectFrom('mailbox_letters')
    .leftJoin('plans', 'plans.plan_id', 'mailbox_letters.plan_id')
    .select(['letter_id', 'kind', 'mailbox_letters.plan_id as plan_id', 'body', 'deployment_id', 'outcome'])
    .where('mailbox', '=', machine.mailbox)
    .orderBy('plans.scheduled_at')
    .execute();
  const known = new Set(ended.map((letter) => letter.letter_id));
  const others = waiting.filter(({ letter_id }) => !known.has(letter_id));
  return [...ended, ...others.map((letter) => ({ ...letter, kind: 'plan', body: null }))];
}

function nameOf({ letter_id, kind, deployment_id }: Candidate): LetterName {
  return { id: letter_id, kind, ...(deployment_id === null ? {} : { deploymentId: deployment_id }) };
}

function leftBecause({ outcome, deployment_id, kind }: Candidate): { readonly reason: string; readonly cure: string } {
  if (outcome !== null)
    return { reason: `the plan has ended: ${outcome}`, cure: `torcello resume ${deployment_id ?? 'DEPLOYMENT'}` };
  return { reason: `this ${kind} is sent again by itself, or nobody has its bytes`, cure: 'nothing to do' };
}
