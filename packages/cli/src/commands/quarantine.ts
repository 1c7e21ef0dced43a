import type { Command } from 'commander';
import type { QuarantinedView } from '../client/views.js';
import { safeText } from '../output/text.js';
import { apiCommand, noun, type CommandRun } from './command-kit.js';

/** `torcello quarantine`: what agents told after a restore of plans that the backup does not know. */
export function quarantineCommand(run: CommandRun): Command {
  return noun('quarantine', 'results that came after a restore, of plans that the backup does not know', [
    apiCommand(run, 'list', 'list them, oldest first', async ({ client, printer }) => {
      const results = await client.quarantine();
      printer.table(results, {
        columns: [
          { title: 'PLAN' },
          { title: 'DEPLOYMENT' },
          { title: 'MACHINE' },
          { title: 'OUTCOME' },
          { title: 'CAME' },
        ],
        rows: results.map((row) => [
          row.planId,
          row.deploymentId,
          row.machine ?? row.machineId,
          row.outcome,
          row.receivedAt,
        ]),
        empty: 'Nothing is in quarantine',
      });
    }),
    apiCommand(
      run,
      'discard <plan>',
      'throw one away; nothing else changes',
      async ({ client, printer }, plan = '') => {
        await client.discardQuarantined(plan);
        printer.answer({ discarded: plan }, () => [safeText(`Discarded the result of the plan ${plan}`)]);
      },
    ),
  ]);
}

/** A line below the history of a deployment. */
export function quarantinedLine({ planId, machine, machineId, outcome, receivedAt }: QuarantinedView): string {
  return safeText(
    `   -  ${receivedAt}  in quarantine  plan ${planId} ${outcome} on ${machine ?? machineId}: younger than the restored backup`,
  );
}
