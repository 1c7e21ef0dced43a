import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseJoinLine } from '@torcello/contracts';
import { CliError, systemCode } from '../cli-error.js';
import type { MachineView } from '../client/views.js';

/** Writes `machine join-line`, one a line, into a file that only its owner may read: a join line is a secret. */
export async function writeJoinLines(file: string, machines: readonly MachineView[]): Promise<void> {
  const lines = machines.map(({ name, joinLine }) => `${name} ${joinLine ?? ''}\n`);
  await guarded(file, async () => {
    await writeFile(file, lines.join(''), { mode: 0o600 });
    await chmod(file, 0o600);
  });
}

/** Writes a file that only its owner may read, and its folder where that is missing. */
export async function writeSecretFile(file: string, content: string): Promise<void> {
  await guarded(file, async () => {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, content, { mode: 0o600 });
    await chmod(file, 0o600);
  });
}

/** Writes one cloud-init user-data file a machine, named after it, and resolves with their paths. */
export async function writeCloudInit(folder: string, machines: readonly MachineView[]): Promise<readonly string[]> {
  await guarded(folder, () => mkdir(folder, { recursive: true, mode: 0o700 }));
  const files: string[] = [];
  for (const machine of machines) {
    const file = path.join(folder, `${machine.name}.yaml`);
    await guarded(file, () => writeFile(file, cloudInit(machine), { mode: 0o600 }));
    files.push(file);
  }
  return files;
}

/**
 * cloud-init user data: fetches the installer from the API and joins. The join line stands in a file that only root may
 * read and not among arguments, where everybody on the machine could.
 */
export function cloudInit(machine: Pick<MachineView, 'name' | 'joinLine'>): string {
  const joinLine = machine.joinLine ?? '';
  const installer = shellQuote(`${parseJoinLine(joinLine)?.api ?? ''}/install.sh`);
  return [
    '#cloud-config',
    `# Torcello agent of the machine ${machine.name}`,
    'write_files:',
    '  - path: /etc/torcello/join-line',
    "    permissions: '0600'",
    `    content: ${JSON.stringify(joinLine)}`,
    'runcmd:',
    `  - [sh, -c, ${JSON.stringify(`curl -fsS --retry 10 --retry-connrefused ${installer} -o /run/torcello-install.sh`)}]`,
    `  - [sh, -c, ${JSON.stringify('TORCELLO_JOIN="$(cat /etc/torcello/join-line)" sh /run/torcello-install.sh')}]`,
    '',
  ].join('\n');
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

async function guarded(file: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    throw new CliError('cannot_write', `cannot write ${file} (${systemCode(error) ?? 'unknown error'})`);
  }
}
