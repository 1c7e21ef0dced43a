import type { Command } from 'commander';
import type { DeletedMailboxView, LetterView, MailboxView, RedeliveryView } from '../client/mailbox-views.js';
import { formatTable } from '../output/table.js';
import { formatAge, formatBytes, parseInstant, safeText } from '../output/text.js';
import { whyText } from '../output/why-text.js';
import { apiCommand, noun, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';

interface ListOptions extends CommonOptions {
  readonly environment?: string;
}

/** `torcello mailbox`: where plans wait for their machines. */
export function mailboxCommand(run: CommandRun): Command {
  return noun('mailbox', 'where plans wait for their machines', [
    apiCommand<ListOptions>(run, 'list', 'list the mailboxes, the ended ones too', list).option(
      '--environment <name>',
      'of this environment only',
    ),
    apiCommand(run, 'show <mailbox>', 'show one mailbox with what is in it, or was when it ended', show),
    apiCommand(
      run,
      'redeliver <mailbox> [letter]',
      'put what is or was in it, and has not ended, into it again under its own ids; opens an ended one anew',
      redeliver,
    ),
    apiCommand(run, 'delete <mailbox>', 'end a mailbox; says what became of the plans in it', remove),
  ]);
}

async function list({ client, printer, context, options }: ActionWorld<ListOptions>): Promise<void> {
  const mailboxes = await client.mailboxes(options.environment);
  const nowMs = context.clock.now();
  printer.table(mailboxes, {
    columns: [
      { title: 'MAILBOX' },
      { title: 'MACHINE' },
      { title: 'ENVIRONMENT' },
      { title: 'STATE' },
      { title: 'WAITING', align: 'right' },
      { title: 'LAST CONTACT', align: 'right' },
      { title: 'ENDS' },
    ],
    rows: mailboxes.map((mailbox) => [
      mailbox.name,
      mailbox.machine?.name ?? '-',
      mailbox.environment ?? '-',
      mailbox.state,
      String(mailbox.waiting ?? 0),
      contactText(mailbox.lastContactAt, nowMs),
      mailbox.closedAt ?? mailbox.expiresAt ?? '-',
    ]),
    empty: 'No mailbox yet. Try: torcello machine add ENVIRONMENT --role ROLE',
  });
}

async function show({ client, printer, context }: ActionWorld<CommonOptions>, name = ''): Promise<void> {
  const mailbox = await client.mailbox(name);
  const nowMs = context.clock.now();
  printer.answer(mailbox, () => [
    safeText(headLine(mailbox)),
    `Last contact ${contactText(mailbox.lastContactAt, nowMs)}, ${endText(mailbox)}`,
    ...(mailbox.broker === undefined || mailbox.broker === null
      ? []
      : [`At the broker: ${mailbox.broker.messages} letters, ${mailbox.broker.readers} readers`]),
    ...(mailbox.why === undefined || mailbox.why === null ? [] : whyText(mailbox.why, nowMs)),
    ...letterTable(mailbox.letters ?? [], mailbox.closedAt === undefined ? 'Nothing waits in it.' : 'It was empty.'),
    ...((mailbox.earlierLetters ?? []).length === 0
      ? []
      : ['In it when it ended last:', ...letterTable(mailbox.earlierLetters ?? [], '')]),
  ]);
}

async function redeliver({ client, printer }: ActionWorld<CommonOptions>, name = '', letter?: string): Promise<void> {
  const answer = await client.redeliver(name, letter);
  printer.answer(answer, () => redeliverLines(answer));
}

async function remove({ client, printer }: ActionWorld<CommonOptions>, name = ''): Promise<void> {
  const answer = await client.deleteMailbox(name);
  printer.answer(answer, () => deletedLines(answer));
}

function redeliverLines({ mailbox, redelivered, left }: RedeliveryView): readonly string[] {
  return [
    `Put again into ${mailbox}: ${counted(redelivered.length, 'letter')}`,
    ...left.map(({ id, reason, cure }) => `Not ${id}: ${reason}; try: ${cure}`),
  ].map((line) => safeText(line));
}

function deletedLines({ mailbox, state, plans }: DeletedMailboxView): readonly string[] {
  const head =
    state === 'closing'
      ? `${mailbox} ends; the broker is away, and what is in it is told when it is back`
      : `${mailbox} is ${state}`;
  const rows = plans.map(({ planId, deploymentId, became }) => `${planId} of ${deploymentId ?? '-'}: ${became}`);
  return [head, ...(state === 'forgotten' || rows.length > 0 ? rows : ['No plan waited in it.'])].map((line) =>
    safeText(line),
  );
}

function headLine({ name, machine, environment, state, reason }: MailboxView): string {
  const owner = machine === undefined || machine === null ? '' : ` of ${machine.name}`;
  const why = reason === undefined || reason === null ? '' : ` (${reason})`;
  return `${name}${owner}${environment === undefined || environment === null ? '' : ` in ${environment}`}: ${state}${why}`;
}

function endText({ closedAt, expiresAt }: MailboxView): string {
  if (closedAt !== undefined && closedAt !== null) return `ended ${closedAt}`;
  return expiresAt === undefined || expiresAt === null ? 'is ending' : `ends ${expiresAt} without another`;
}

function letterTable(letters: readonly LetterView[], empty: string): readonly string[] {
  if (letters.length === 0) return [empty];
  const columns = [
    { title: 'LETTER' },
    { title: 'KIND' },
    { title: 'DEPLOYMENT' },
    { title: 'STATE' },
    { title: 'SINCE' },
    { title: 'EXPIRES' },
    { title: 'SIZE', align: 'right' },
  ] as const;
  const rows = letters.map(({ id, kind, deploymentId, state, since, expiresAt, bytes }) => [
    id,
    kind,
    deploymentId ?? '-',
    state,
    since ?? '-',
    expiresAt ?? '-',
    formatBytes(bytes ?? 0),
  ]);
  return formatTable(columns, rows);
}

function contactText(instant: string | null | undefined, nowMs: number): string {
  const ms = parseInstant(instant);
  return ms === undefined ? 'never' : `${formatAge(nowMs - ms)} ago`;
}

function counted(count: number, noun_: string): string {
  return `${count} ${noun_}${count === 1 ? '' : 's'}`;
}
