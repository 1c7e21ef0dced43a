import type { RolloutMachine, RolloutView } from '../client/views.js';
import { stageName } from './deployment-text.js';
import { formatTable } from './table.js';

const columns = [
  { title: 'ORDER', align: 'right' },
  { title: 'STAGE' },
  { title: 'AFTER' },
  { title: 'MACHINE' },
  { title: 'STATE' },
  { title: 'LAST HEARD' },
  { title: 'EXPIRES' },
] as const;

/** What a deployment would do, one line a machine in the order of the stages, and who of them is off. */
export function rolloutLines({ stages }: RolloutView): readonly string[] {
  const rows = stages.flatMap(({ name, needs = [], machines }, at) =>
    machines.map((machine) => [
      String(at + 1),
      stageName(name),
      needs.map(stageName).join(', ') || '-',
      machine.name,
      machine.state ?? '-',
      machine.lastHeartbeatAt ?? '-',
      machine.expiresAt ?? machine.mailboxExpiresAt ?? '-',
    ]),
  );
  const everybody = new Map(stages.flatMap(({ machines }) => machines).map((machine) => [machine.name, machine]));
  const off = [...everybody.values()].filter(isOff).map(({ name }) => name);
  return [
    ...formatTable(columns, rows),
    `${everybody.size} machines in ${stages.length} ${stages.length === 1 ? 'stage' : 'stages'}`,
    ...(off.length === 0 ? [] : [`Off now, their plans wait: ${off.join(', ')}`]),
  ];
}

function isOff({ state }: RolloutMachine): boolean {
  return state !== undefined && state !== null && state !== 'online';
}
