import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CliError, systemCode } from '../cli-error.js';

export const defaultDataFolder = './torcello-data';
export const defaultApiAddress = '127.0.0.1:8082';
export const defaultAmqpAddress = '127.0.0.1:5673';

export interface DataFolderFiles {
  readonly folder: string;
  /** The API's database stands in the folder itself, the broker has one of its own. */
  readonly broker: string;
  readonly logs: string;
  /** Made by the API at its first start. */
  readonly adminToken: string;
  readonly planKey: string;
  readonly planKeyPublic: string;
  /** The control plane's own login at the embedded broker. */
  readonly brokerLogin: string;
  /** A `RunningAddress`; there only while the control plane runs. */
  readonly address: string;
}

/** Where a running control plane listens. The transport carries its login: the file is its owner's only. */
export interface RunningAddress {
  readonly api: string;
  readonly transport: string;
  /** The process that runs it all. */
  readonly pid: number;
}

/** Undefined where nothing runs from the folder. */
export async function readRunningAddress(files: DataFolderFiles): Promise<RunningAddress | undefined> {
  try {
    const { api, transport, pid } = JSON.parse(await readFile(files.address, 'utf8')) as Partial<RunningAddress>;
    if (typeof api !== 'string' || typeof transport !== 'string' || typeof pid !== 'number') return undefined;
    return { api, transport, pid };
  } catch {
    return undefined;
  }
}

/** @throws CliError `data_in_use` when another process runs a control plane from this folder. */
export async function requireUnused(files: DataFolderFiles): Promise<void> {
  const running = await readRunningAddress(files);
  if (running === undefined || running.pid === process.pid || !isAlive(running.pid)) return;
  throw new CliError('data_in_use', `the data folder ${files.folder} is in use by process ${running.pid}`, {
    cure: `end that process, or name another folder with --data (if it is not Torcello, delete ${files.address})`,
  });
}

/** Takes the address back, if it is this process's. */
export async function removeRunningAddress(files: DataFolderFiles): Promise<void> {
  if ((await readRunningAddress(files))?.pid === process.pid) await rm(files.address, { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}

/** Where everything lies in a data folder; `up` and the quickstart lay it out the same way. */
export function dataFolderFiles(folder: string): DataFolderFiles {
  return {
    folder,
    broker: path.join(folder, 'broker'),
    logs: path.join(folder, 'logs'),
    adminToken: path.join(folder, 'admin-token'),
    planKey: path.join(folder, 'plan-key.pem'),
    planKeyPublic: path.join(folder, 'plan-key.pem.pub'),
    brokerLogin: path.join(folder, 'broker-login.json'),
    address: path.join(folder, 'address.json'),
  };
}

/** Makes the folder, for its owner only. @throws CliError `data_folder` when that cannot be. */
export async function openDataFolder(folder: string): Promise<DataFolderFiles> {
  const files = dataFolderFiles(folder);
  try {
    await mkdir(files.logs, { recursive: true, mode: 0o700 });
    await mkdir(files.broker, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  } catch (error) {
    throw new CliError(
      'data_folder',
      `cannot use the data folder ${folder} (${systemCode(error) ?? 'unknown error'})`,
      {
        cure: 'name a folder that you may write to with --data',
      },
    );
  }
  return files;
}

/** Writes a file that only its owner may read. */
export async function writePrivate(file: string, text: string): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  await chmod(file, 0o600);
}
