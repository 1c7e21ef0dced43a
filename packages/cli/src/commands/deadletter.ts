import type { Command } from 'commander';
import type { DeadLetterView } from '../client/mailbox-views.js';
import { formatBytes, safeText } from '../output/text.js';
import { apiCommand, noun, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';

/** `torcello deadletter`: messages that could not be handled. */
export function deadLetterCommand(run: CommandRun): Command {
  return noun('deadletter', 'messages of agents that could not be handled', [
    apiCommand(run, 'list', 'list the messages that were put aside after five attempts, and why', list),
    apiCommand(run, 'show <id>', 'show one of them, with the beginning of its text', show),
    apiCommand(run, 'requeue <id>', 'send it once more, under its own id', async ({ client, printer }, id = '') => {
      const answer = await client.requeueDeadLetter(id);
      printer.answer(answer, () => [safeText(`Requeued ${id}; if it fails again it comes back here`)]);
    }),
    apiCommand(run, 'discard <id>', 'drop it for good', async ({ client, printer }, id = '') => {
      const answer = await client.discardDeadLetter(id);
      printer.answer(answer, () => [safeText(`Discarded ${id}`)]);
    }),
  ]);
}

async function list({ client, printer }: ActionWorld<CommonOptions>): Promise<void> {
  const letters = await client.deadLetters();
  printer.table(letters, {
    columns: [
      { title: 'ID' },
      { title: 'FROM' },
      { title: 'MACHINE' },
      { title: 'AT' },
      { title: 'ATTEMPTS', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'REASON' },
    ],
    rows: letters.map((letter) => [
      letter.id,
      letter.source ?? '-',
      machineText(letter),
      letter.at ?? '-',
      letter.attempts === undefined || letter.attempts === null ? '-' : String(letter.attempts),
      formatBytes(letter.bytes ?? 0),
      letter.reason ?? '-',
    ]),
    empty: 'No message had to be put aside.',
  });
}

async function show({ client, printer }: ActionWorld<CommonOptions>, id = ''): Promise<void> {
  const letter = await client.deadLetter(id);
  printer.answer(letter, () => [
    safeText(`${letter.id} from ${machineText(letter)} to ${letter.source ?? '-'} (${letter.routingKey ?? '-'})`),
    safeText(`Put aside ${letter.at ?? '-'} after ${letter.attempts ?? '?'} attempts: ${letter.reason ?? '-'}`),
    safeText(
      `Message id ${letter.messageId ?? '-'}, ${letter.contentType ?? 'no type'}, ${formatBytes(letter.bytes ?? 0)}`,
    ),
    safeText(`Headers ${JSON.stringify(letter.headers ?? {})}`),
    ...safeText(letter.text ?? '', { keepLines: true }).split('\n'),
    `Try: torcello deadletter requeue ${letter.id}, or torcello deadletter discard ${letter.id}`,
  ]);
}

function machineText({ machine }: DeadLetterView): string {
  return machine?.name ?? machine?.id ?? '-';
}
