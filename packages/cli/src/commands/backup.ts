import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { CliError } from '../cli-error.js';
import { requireFreshFile, writeBackup } from '../files/write-backup.js';
import { Printer } from '../output/printer.js';
import { safeText } from '../output/text.js';
import { plainEnvironment } from '../plant/control-plane.js';
import { dataFolderFiles, defaultDataFolder, requireUnused } from '../plant/data-folder.js';
import { programBin } from '../plant/program-bins.js';
import type { CliContext } from '../context.js';
import { apiCommand, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';

/** `torcello backup`: the API's truth in one file, while everything runs. */
export function backupCommand(run: CommandRun): Command {
  return apiCommand(
    run,
    'backup <file>',
    'write the database and the keys of the data folder into one file, while everything runs; keep it secret',
    backup,
  );
}

async function backup({ client, context, options, printer }: ActionWorld<CommonOptions>, name = ''): Promise<void> {
  const file = path.resolve(context.cwd, name);
  await requireFreshFile(file);
  const folder = path.resolve(context.cwd, options.data ?? defaultDataFolder);
  const dataFolder = (await isOfThisApi(folder, client.http.address.token)) ? folder : undefined;
  const database = await client.http.send('/v1/backup');
  const { bytes, madeAtMs, holds } = await writeBackup({ file, database, dataFolder });
  const madeAt = new Date(madeAtMs).toISOString();
  printer.answer({ file, bytes, madeAt, holds }, () => [
    `Backup of ${madeAt} in ${file} (${bytes} bytes): ${holds.join(', ')}`,
    ...(dataFolder === undefined
      ? ['Without the keys: name the data folder of this API with --data to have them in it']
      : ['It holds keys: keep it where only you can read it']),
  ]);
}

/** Keys of another installation would not fit the database. */
async function isOfThisApi(folder: string, token: string | undefined): Promise<boolean> {
  const kept = await readFile(dataFolderFiles(folder).adminToken, 'utf8').catch(() => undefined);
  return kept !== undefined && kept.trim() === token;
}

interface RestoreOptions {
  readonly data: string;
  readonly json?: true;
}

/** What the API's own `restore` prints. */
interface RestoredLine {
  readonly restored: string;
  readonly madeAt: string;
  readonly names: readonly string[];
  readonly askedAfter: number;
  readonly keptIn?: string;
}

/** `torcello restore`: a backup in the place of what a data folder holds. */
export function restoreCommand(run: CommandRun): Command {
  return new Command('restore')
    .argument('<file>')
    .description('put a backup in the place of what the data folder holds; nothing may run from it')
    .option('--data <dir>', 'data folder', defaultDataFolder)
    .option('--json', 'answer with one JSON value on stdout')
    .action(async (file: string, options: RestoreOptions) => {
      const { context } = run;
      const data = path.resolve(context.cwd, options.data);
      await requireUnused(dataFolderFiles(data));
      const line = await restore(context, { data, from: path.resolve(context.cwd, file) });
      new Printer(context, options.json === true).answer(line, () => told(line).map((text) => safeText(text)));
    });
}

function told({ restored, madeAt, names, askedAfter, keptIn }: RestoredLine): readonly string[] {
  return [
    `Restored ${names.join(', ')} of ${madeAt} into ${restored}`,
    ...(keptIn === undefined ? [] : [`What was there before is in ${keptIn}`]),
    ...(askedAfter === 0 ? [] : [`Plans whose machines are asked again what became of them: ${askedAfter}`]),
    'Start it again with torcello up; torcello quarantine list shows results that the backup does not know',
  ];
}

/** The API's own program does it: no other touches the database. */
function restore(context: CliContext, order: { readonly data: string; readonly from: string }): Promise<RestoredLine> {
  const args = [programBin('api'), 'restore', '--data', order.data, '--from', order.from];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env: plainEnvironment(context.env) }, (error, stdout, stderr) => {
      if (error === null) return resolve(JSON.parse(stdout) as RestoredLine);
      const why = stderr.trim().replace(/^torcello-api: /, '');
      reject(
        new CliError('restore_failed', why === '' ? error.message : why, {
          cure: 'nothing was changed; stop what runs from the folder, or name another file',
          cause: error,
        }),
      );
    });
  });
}
