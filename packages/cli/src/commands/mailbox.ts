import type { Command } from 'commander';
import type { LetterView, MailboxView } from '../client/views.js';
import { formatTable } from '../output/table.js';
import { formatAge, parseInstant, safeText } from '../output/text.js';
import { whyText } from '../output/why-text.js';
import { apiCommand, noun, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';

/** `torcello mailbox`: where plans wait for their machines. */
export function mailboxCommand(run: CommandRun): Command {
  return noun('mailbox', 'where plans wait for their machines', [
    apiCommand(run, 'list', 'list the mailboxes, the closed ones too', list),
    apiCommand(run, 'show <mailbox>', 'show one mailbox with the plans that are or were in it', show),
    apiCommand(
      run,
      'redeliver <mailbox>',
      'put what was in it, and has not ended, into it again',
      async ({ client, printer }, name = '') => {
        const answer = await client.redeliver(name);
        printer.answer(answer, () => [`Redelivered what was in ${name}${countIn(answer)}`]);
      },
    ),
    apiCommand(
      run,
      'delete <mailbox>',
      'delete a mailbox; every plan in it is reported to its deployment',
      async ({ client, printer }, name = '') => {
        const answer = await client.deleteMailbox(name);
        printer.answer({ deleted: name, ...(answer as object) }, () => [`Deleted ${name}${countIn(answer)}`]);
      },
    ),
  ]);
}

async function list({ client, printer, context }: ActionWorld<CommonOptions>): Promise<void> {
  const mailboxes = await client.mailboxes();
  const nowMs = context.clock.now();
  printer.table(mailboxes, {
    columns: [
      { title: 'MAILBOX' },
      { title: 'MACHINE' },
      { title: 'ENVIRONMENT' },
      { title: 'STATE' },
      { title: 'PLANS', align: 'right' },
      { title: 'LAST CONTACT', align: 'right' },
      { title: 'EXPIRES' },
    ],
    rows: mailboxes.map((mailbox) => [
      mailbox.name,
      mailbox.machine?.name ?? '-',
      mailbox.environment ?? '-',
      mailbox.state,
      String(mailbox.waiting ?? mailbox.letters?.length ?? 0),
      ageText(mailbox.lastContactAt, nowMs),
      mailbox.expiresAt ?? '-',
    ]),
    empty: 'No mailbox yet. Try: torcello machine add ENVIRONMENT --role ROLE',
  });
}

async function show({ client, printer, context }: ActionWorld<CommonOptions>, name = ''): Promise<void> {
  const mailbox = await client.mailbox(name);
  const nowMs = context.clock.now();
  printer.answer(mailbox, () => [
    safeText(headLine(mailbox)),
    `last contact ${ageText(mailbox.lastContactAt, nowMs)}, expires ${mailbox.expiresAt ?? '-'}`,
    ...(mailbox.why === undefined || mailbox.why === null ? [] : whyText(mailbox.why, nowMs)),
    ...letterTable(mailbox.letters ?? []),
  ]);
}

function headLine({ name, machine, environment, state }: MailboxView): string {
  const owner = machine === undefined || machine === null ? '' : ` of ${machine.name}`;
  return `${name}${owner}${environment === undefined || environment === null ? '' : ` in ${environment}`}: ${state}`;
}

function letterTable(letters: readonly LetterView[]): readonly string[] {
  if (letters.length === 0) return ['No plan waits in it.'];
  const columns = [{ title: 'PLAN' }, { title: 'DEPLOYMENT' }, { title: 'STATE' }, { title: 'SINCE' }];
  const rows = letters.map(({ planId, deploymentId, state, since }) => [
    planId,
    deploymentId ?? '-',
    state,
    since ?? '-',
  ]);
  return formatTable(columns, rows);
}

function ageText(instant: string | null | undefined, nowMs: number): string {
  const ms = parseInstant(instant);
  return ms === undefined ? 'never' : `${formatAge(nowMs - ms)} ago`;
}

/** `: 3 plans`, where the answer counts them. */
function countIn(answer: unknown): string {
  const { redelivered, plans } = (answer ?? {}) as { redelivered?: unknown; plans?: unknown };
  const count = typeof redelivered === 'number' ? redelivered : Array.isArray(plans) ? plans.length : plans;
  return typeof count === 'number' ? `: ${count} ${count === 1 ? 'plan' : 'plans'}` : '';
}
