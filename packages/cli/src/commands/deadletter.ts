import type { Command } from 'commander';
import { formatBytes } from '../output/text.js';
import { apiCommand, noun, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';

/** `torcello deadletter`: messages of agents that could not be handled. */
export function deadLetterCommand(run: CommandRun): Command {
  return noun('deadletter', 'messages that could not be handled', [
    apiCommand(run, 'list', 'list the messages that could not be handled, and why', list),
    apiCommand(
      run,
      'requeue <id>',
      'handle a message once more, under its own id',
      async ({ client, printer }, id = '') => {
        const answer = await client.requeueDeadLetter(id);
        printer.answer({ requeued: id, ...(answer as object) }, () => [`Requeued ${id}`]);
      },
    ),
    apiCommand(run, 'discard <id>', 'drop a message for good', async ({ client, printer }, id = '') => {
      const answer = await client.discardDeadLetter(id);
      printer.answer({ discarded: id, ...(answer as object) }, () => [`Discarded ${id}`]);
    }),
  ]);
}

async function list({ client, printer }: ActionWorld<CommonOptions>): Promise<void> {
  const letters = await client.deadLetters();
  printer.table(letters, {
    columns: [
      { title: 'ID' },
      { title: 'FROM' },
      { title: 'AT' },
      { title: 'ATTEMPTS', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'REASON' },
    ],
    rows: letters.map(({ id, source, at, attempts, bytes, reason }) => [
      id,
      source ?? '-',
      at ?? '-',
      attempts === undefined || attempts === null ? '-' : String(attempts),
      bytes === undefined || bytes === null ? '-' : formatBytes(bytes),
      reason ?? '-',
    ]),
    empty: 'No message had to be put aside.',
  });
}
