import type { RolloutMachine, RolloutStage, RolloutView } from '../client/views.js';
import { stageName } from './deployment-text.js';
import { formatTable } from './table.js';
import { safeText } from './text.js';

const columns = [
  { title: 'ORDER', align: 'right' },
  { title: 'STAGE' },
  { title: 'AFTER' },
  { title: 'MACHINE' },
  { title: 'STATE' },
  { title: 'LAST HEARD' },
] as const;

/** What a deployment would do, one line a machine in the order of the stages, and who of them is off. */
export function rolloutLines({ stages, startBy }: RolloutView): readonly string[] {
  const rows = stages.flatMap(({ name, needs = [], isGate, machines }, at) =>
    machines.map((machine) => [
      String(at + 1),
      isGate === true ? `${stageName(name)} (health gate)` : stageName(name),
      needs.map(stageName).join(', ') || '-',
      machine.name,
      machine.state ?? '-',
      machine.evidence?.at ?? '-',
    ]),
  );
  const everybody = new Map(stages.flatMap(({ machines }) => machines).map((machine) => [machine.name, machine]));
  const absent = [...everybody.values()].filter(isOff);
  const off = absent.map(({ name }) => name);
  return [
    ...formatTable(columns, rows),
    `${everybody.size} machines in ${stages.length} ${stages.length === 1 ? 'stage' : 'stages'}`,
    ...failureLines(stages),
    ...(startBy === undefined || startBy === null
      ? []
      : [safeText(`A plan that is not fetched by ${startBy} expires`)]),
    ...(off.length === 0 ? [] : [`Off now, their plans wait: ${off.join(', ')}`]),
    ...mailboxLines(absent),
  ];
}

/** What ends the waiting of plans for machines that are off. */
function mailboxLines(absent: readonly RolloutMachine[]): readonly string[] {
  const ended = absent.filter(({ isMailboxEnded }) => isMailboxEnded === true).map(({ name }) => name);
  const ends = absent.flatMap(({ mailboxExpiresAt, name }) =>
    mailboxExpiresAt === undefined || mailboxExpiresAt === null ? [] : [{ at: mailboxExpiresAt, name }],
  );
  const [first] = ends.toSorted((a, b) => a.at.localeCompare(b.at));
  return [
    ...(first === undefined
      ? []
      : [safeText(`The first of their mailboxes ends ${first.at} (${first.name}), and the plan in it with it`)]),
    ...(ended.length === 0
      ? []
      : [safeText(`Without a mailbox, their plans expire at once: ${ended.join(', ')}; see torcello mailbox list`)]),
  ];
}

/** After how many failures it stops, by stage where that differs. */
function failureLines(stages: readonly RolloutStage[]): readonly string[] {
  const limits = new Set(stages.map(({ failuresMax = 0 }) => failuresMax));
  const [limit = 0] = limits;
  if (limits.size <= 1) return [`It stops when more than ${limit} machines of a stage have failed`];
  return stages.map(({ name, failuresMax = 0 }) =>
    safeText(`It stops when more than ${failuresMax} machines of ${stageName(name)} have failed`),
  );
}

function isOff({ state }: RolloutMachine): boolean {
  return state !== undefined && state !== null && state !== 'online';
}
