import { parseArgs } from 'node:util';
import type { Clock } from '@torcello/platform';
import { StartError } from '../errors.js';
import { isoTime } from '../times.js';
import { restoreBackup } from './restore.js';

export const restoreUsage: string = `torcello-api restore --data DIR --from FILE

Puts a backup of "torcello backup" in the place of what a data folder holds. No API may use the folder.

  --data DIR   data folder; made when it is not there
  --from FILE  the backup
  --help       this text

What was there before is kept in DIR/before-restore-TIME. Prints one line of JSON.
`;

/** What stands on the command line behind `restore`. @throws StartError USAGE. Undefined when help was asked for. */
export function readRestoreOptions(
  args: readonly string[],
): { readonly data: string; readonly from: string } | undefined {
  const options = { data: { type: 'string' }, from: { type: 'string' }, help: { type: 'boolean' } } as const;
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
    if (values.help === true) return undefined;
    const { data, from } = values;
    if (data !== undefined && from !== undefined) return { data, from };
  } catch (cause) {
    throw new StartError('USAGE', 'restore takes --data DIR and --from FILE (see restore --help)', { cause });
  }
  throw new StartError('USAGE', 'restore needs --data DIR and --from FILE (see restore --help)');
}

/** Restores and says in one line of JSON what came of it. @throws StartError. */
export async function runRestore(order: {
  readonly data: string;
  readonly from: string;
  readonly clock: Clock;
}): Promise<string> {
  const { data, from, clock } = order;
  const { madeAtMs, keptIn, ...rest } = await restoreBackup({ dataDirectory: data, from, clock });
  const restored = { restored: data, madeAt: isoTime(madeAtMs), ...rest };
  return `${JSON.stringify(keptIn === undefined ? restored : { ...restored, keptIn })}\n`;
}
