import type { SimulatedDisk } from '@torcello/agent/testing';
import type { AgentOptions } from '@torcello/agent';
import type { Random } from '@torcello/platform';
import type { Life } from './world-clock.js';

type JournalDisk = NonNullable<AgentOptions['journalDisk']>;

const operationMsMax = 4;

/** The disk as a process sees it: every operation takes a moment, in which the process may die. */
export function slowDisk(disk: SimulatedDisk, life: Life, random: Random): JournalDisk {
  const moment = (): Promise<void> =>
    new Promise((resolve) => void life.clock.after(random.fraction() * operationMsMax, resolve));
  const later =
    <Words extends readonly unknown[], Answer>(work: (...words: Words) => Promise<Answer>) =>
    async (...words: Words): Promise<Answer> => {
      await moment();
      return await work(...words);
    };
  return {
    makeFolder: () => disk.makeFolder(),
    read: (file) => disk.read(file),
    open: async (file, how) => {
      const handle = await later(disk.open.bind(disk))(file, how);
      return {
        append: later((bytes: Uint8Array) => handle.append(bytes)),
        truncate: later((length: number) => handle.truncate(length)),
        sync: later(() => handle.sync()),
        close: () => handle.close(),
      };
    },
    rename: later(disk.rename.bind(disk)),
    link: later(disk.link.bind(disk)),
    remove: later(disk.remove.bind(disk)),
    syncFolder: later(disk.syncFolder.bind(disk)),
  };
}
