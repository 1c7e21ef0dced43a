import type { BrokerHost, Insides } from './broker-host.js';

/** What is measured at the like point of each cycle: everything drained, everybody gone. */
export interface Figures extends Insides {
  readonly openFiles: number;
  readonly databaseBytes: number;
  readonly journalBytes: number;
  /** The most that waited in queues at once, so far. */
  readonly backlogBytes: number;
  readonly startMs: number;
  /** The broker's life that it belongs to. */
  readonly life: number;
}

export async function figuresOf(host: BrokerHost, backlogBytes: number): Promise<Figures> {
  const insides = await host.insides();
  return {
    ...insides,
    openFiles: host.openFiles,
    databaseBytes: host.fileBytes('broker.lmdb'),
    journalBytes: host.fileBytes('broker.lmdb.journal'),
    backlogBytes,
    startMs: host.startMs,
    life: host.ends,
  };
}

const MiB = 2 ** 20;

export function shownFigures(figures: Figures): string {
  const mib = (bytes: number): string => (bytes / MiB).toFixed(1);
  const { loopDelayMs } = figures;
  return [
    `heap ${mib(figures.heapBytes)} external ${mib(figures.externalBytes)} rss ${mib(figures.rssBytes)} needed ${mib(figures.neededBytes)} MiB`,
    `files ${figures.openFiles} timers ${figures.timers}`,
    `loop ${loopDelayMs.typical.toFixed(0)}/${loopDelayMs.most.toFixed(0)} ms`,
    `database ${mib(figures.databaseBytes)} journal ${mib(figures.journalBytes)} backlog ${mib(figures.backlogBytes)} MiB`,
    `start ${figures.startMs.toFixed(0)} ms cpu ${(figures.processorMs / 1000).toFixed(0)} s`,
  ].join(', ');
}

/** How much of each may be gained between the first and the last third of a life, or of the run. */
const rules: readonly {
  readonly name: string;
  readonly value: (figures: Figures) => number;
  readonly share: number;
  readonly slack: number;
}[] = [
  { name: 'heap', value: ({ heapBytes }) => heapBytes, share: 0.1, slack: 2 * MiB },
  { name: 'external', value: ({ externalBytes }) => externalBytes, share: 0.1, slack: 6 * MiB },
  { name: 'needed memory', value: ({ neededBytes }) => neededBytes, share: 0.25, slack: 48 * MiB },
  { name: 'open files', value: ({ openFiles }) => openFiles, share: 0, slack: 3 },
  { name: 'timers', value: ({ timers }) => timers, share: 0, slack: 3 },
  { name: 'journal', value: ({ journalBytes }) => journalBytes, share: 0, slack: 5 * MiB },
];
/** The first cycles of a life only warm up; and fewer than so many tell nothing. */
const warmCycles = 3;
const cyclesMin = 6;

/** The database never shrinks: so much of the largest backlog it may take. */
const databaseShare = 4;
const databaseSlackBytes = 64 * MiB;

/** What has grown within one life of the broker, and a database that is larger than what it ever held. */
export function driftIn(all: readonly Figures[]): string[] {
  const { databaseBytes = 0, backlogBytes = 0 } = all.at(-1) ?? {};
  const isTooLarge = databaseBytes > databaseShare * backlogBytes + databaseSlackBytes;
  const text = `the database has ${databaseBytes} bytes, and never more than ${backlogBytes} waited`;
  return [...(isTooLarge ? [text] : []), ...growthIn(all)];
}

function growthIn(all: readonly Figures[]): string[] {
  return [...new Set(all.map(({ life }) => life))].flatMap((life) => {
    const warm = all.filter((one) => one.life === life).slice(warmCycles);
    if (warm.length < cyclesMin) return [];
    const third = Math.floor(warm.length / 3);
    return rules.flatMap(({ name, value, share, slack }) => {
      const before = middleOf(warm.slice(0, third).map(value));
      const after = middleOf(warm.slice(-third).map(value));
      return after > before * (1 + share) + slack ? [`${name} grew from ${before} to ${after} in life ${life}`] : [];
    });
  });
}

function middleOf(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}
