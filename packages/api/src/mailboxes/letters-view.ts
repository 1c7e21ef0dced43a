import { isMessagingError } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import type { MailboxEndRow } from '../database/mailbox-tables.js';
import type { Db } from '../database/store.js';
import type { PlanView, Views } from '../deployments/view.js';
import { isoTime } from '../times.js';
import type { Why } from '../why/why.js';

/** A letter that is, or was, in a mailbox. */
export interface LetterView {
  readonly id: string;
  readonly kind: string;
  readonly bytes: number;
  /** Of a plan its state; of another letter `waiting` until it is sent. */
  readonly state: string;
  readonly since?: string;
  readonly planId?: string;
  readonly deploymentId?: string;
  readonly stage?: string;
  readonly storedAt?: string;
  /** When its machine refuses it as too late. */
  readonly expiresAt?: string;
  /** Of an ended mailbox: it lay there at the end, so nobody had taken it. */
  readonly wasInMailbox?: boolean;
  readonly why?: Why;
}

export interface LettersParts {
  readonly db: Db;
  readonly views: Views;
}

interface Listed {
  readonly letter_id: string;
  readonly kind: string;
  readonly bytes: number;
  readonly plan_id: string | null;
  readonly deployment_id: string | null;
  readonly is_in_broker?: number;
}

/** What waits in the mailbox of a machine: plans that it has not taken, and what is still to be put. */
export async function waitingLetters(
  { db, views }: LettersParts,
  machine: { readonly id: string; readonly mailbox: string },
): Promise<readonly LetterView[]> {
  const plans = await db
    .selectFrom('plans')
    .leftJoin('letters', 'letters.plan_id', 'plans.plan_id')
    .select(['plans.plan_id as plan_id', 'plans.plan_id as letter_id', 'plans.deployment_id as deployment_id'])
    .select((column) => column.fn.coalesce(column.fn<number>('length', ['letters.body']), column.val(0)).as('bytes'))
    .where('plans.machine_id', '=', machine.id)
    .where('plans.outcome', 'is', null)
    .where('plans.delivered_at', 'is', null)
    .orderBy('plans.scheduled_at')
    .execute();
  const unsent = await db
    .selectFrom('outbox')
    .select(['message_id', 'body', 'created_at'])
    .where('mailbox', '=', machine.mailbox)
    .orderBy('id')
    .execute();
  const shown = await withPlans(
    views,
    plans.map((plan) => ({ ...plan, kind: 'plan' })),
  );
  return [
    ...shown,
    ...unsent.map(({ message_id, body, created_at }) => ({
      id: message_id,
      kind: message_id.split('-')[0] ?? 'letter',
      bytes: body.length,
      state: 'waiting',
      since: isoTime(created_at),
    })),
  ];
}

/** What was in a mailbox when it ended. */
export async function endedLetters(
  { db, views }: LettersParts,
  end: Pick<MailboxEndRow, 'mailbox' | 'began_at'>,
): Promise<readonly LetterView[]> {
  const rows = await db
    .selectFrom('mailbox_letters')
    .leftJoin('plans', 'plans.plan_id', 'mailbox_letters.plan_id')
    .select(['letter_id', 'kind', 'bytes', 'is_in_broker', 'mailbox_letters.plan_id as plan_id', 'deployment_id'])
    .where('mailbox', '=', end.mailbox)
    .orderBy('plans.scheduled_at')
    .orderBy('letter_id')
    .execute();
  return withPlans(views, rows);
}

/** What the broker says; undefined where it cannot be asked. */
export async function askBroker(
  transport: Transport | undefined,
  mailbox: string,
): Promise<{ readonly messages: number; readonly readers: number } | undefined> {
  try {
    const told = await transport?.inspect({ queue: mailbox }, { timeoutMs: 2_000 });
    return told === undefined ? undefined : { messages: told.messages, readers: told.consumers };
  } catch (error) {
    if (isMessagingError(error)) return undefined;
    throw error;
  }
}

async function withPlans(views: Views, rows: readonly Listed[]): Promise<readonly LetterView[]> {
  const byDeployment = new Map<string, string[]>();
  for (const { plan_id, deployment_id } of rows) {
    if (plan_id === null || deployment_id === null) continue;
    byDeployment.set(deployment_id, [...(byDeployment.get(deployment_id) ?? []), plan_id]);
  }
  const plans = new Map<string, PlanView>();
  for (const [deploymentId, planIds] of byDeployment)
    for (const plan of await views.plans(deploymentId, planIds)) plans.set(plan.planId, plan);
  return rows.map((row) => viewLetter(row, plans.get(row.plan_id ?? '')));
}

function viewLetter(row: Listed, plan: PlanView | undefined): LetterView {
  return {
    id: row.letter_id,
    kind: row.kind,
    bytes: Number(row.bytes),
    state: plan?.state ?? 'unknown',
    ...(row.is_in_broker === undefined ? {} : { wasInMailbox: row.is_in_broker > 0 }),
    ...(row.plan_id === null ? {} : { planId: row.plan_id }),
    ...(row.deployment_id === null ? {} : { deploymentId: row.deployment_id }),
    ...(plan === undefined ? {} : viewPlan(plan)),
  };
}

function viewPlan(plan: PlanView): Partial<LetterView> {
  return {
    since: plan.since,
    stage: plan.stage,
    ...(plan.storedAt === undefined ? {} : { storedAt: plan.storedAt }),
    ...(plan.startBy === undefined ? {} : { expiresAt: plan.startBy }),
    ...(plan.why === undefined ? {} : { why: plan.why }),
  };
}
