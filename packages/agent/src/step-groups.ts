import { access, constants, mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Makes a control group for each attempt of a step, where this machine and this user can. */
export interface StepGroups {
  /** The folder of a new group; undefined where none can be made. */
  make(name: string): Promise<string | undefined>;
  /** Removes groups in which nothing runs any more. */
  sweep(): Promise<void>;
}

/** No groups: processes are found by their mark alone. */
export const noStepGroups: StepGroups = { make: () => Promise.resolve(undefined), sweep: () => Promise.resolve() };

/**
 * Control groups below the agent's own, version 2 or, where that is not mounted, the `freezer` or `pids` of version 1.
 * Nothing is limited or accounted: a group is only the surest list of the processes that a step started.
 * @param name - of the folder that holds them; different for each agent of a machine.
 */
export async function systemStepGroups(name: string): Promise<StepGroups> {
  const parent = await parentGroup();
  if (parent === undefined) return noStepGroups;
  const base = path.join(parent, name);
  return {
    make: async (group) => {
      const folder = path.join(base, group);
      try {
        await mkdir(folder, { recursive: true });
        await access(procsFile(folder), constants.W_OK);
        return folder;
      } catch {
        return undefined;
      }
    },
    sweep: async () => {
      await removeEmpty(base);
    },
  };
}

/** Ids of the processes in a group and the groups below it. Empty when there is no such group any more. */
export async function groupMembers(folder: string): Promise<readonly number[]> {
  const text = await readFile(procsFile(folder), 'utf8').catch(() => '');
  const own = text.split('\n').filter(Boolean).map(Number);
  const below = await Promise.all((await foldersIn(folder)).map(groupMembers));
  return [...own, ...below.flat()];
}

/** Kills whatever is in the group, also what is being started at this moment. Only version 2 can. */
export async function killGroup(folder: string): Promise<void> {
  await writeFile(path.join(folder, 'cgroup.kill'), '1', { flag: 'r+' }).catch(() => undefined);
}

export function procsFile(folder: string): string {
  return path.join(folder, 'cgroup.procs');
}

/** The system refuses to remove a group that has processes. */
async function removeEmpty(folder: string): Promise<void> {
  for (const below of await foldersIn(folder)) await removeEmpty(below);
  await rmdir(folder).catch(() => undefined);
}

async function foldersIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => path.join(folder, entry.name));
}

/** The agent's own group in the first hierarchy in which it may make others. */
async function parentGroup(): Promise<string | undefined> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const memberships = await readFile('/proc/self/cgroup', 'utf8').catch(() => '');
  const found = mounts
    .split('\n')
    .flatMap((line) => groupMount(line))
    .toSorted((one, other) => one.rank - other.rank);
  for (const mount of found) {
    const folder = path.join(mount.point, path.relative(mount.root, ownGroup(memberships, mount.controller)));
    const isOurs = folder === mount.point || folder.startsWith(`${mount.point}/`);
    if (isOurs && (await isWritable(folder))) return folder;
  }
  return undefined;
}

interface GroupMount {
  readonly root: string;
  readonly point: string;
  /** '' for version 2. */
  readonly controller: string;
  readonly rank: number;
}

/** A line of `/proc/self/mountinfo`: see proc_pid_mountinfo(5). */
function groupMount(line: string): readonly GroupMount[] {
  const [head = '', tail = ''] = line.split(' - ');
  const [, , , root = '', point = ''] = head.split(' ');
  const [type, , options = ''] = tail.split(' ');
  if (type === 'cgroup2') return [{ root, point, controller: '', rank: 0 }];
  if (type !== 'cgroup') return [];
  const rank = ['freezer', 'pids'].findIndex((name) => options.split(',').includes(name));
  return rank < 0 ? [] : [{ root, point, controller: rank === 0 ? 'freezer' : 'pids', rank: rank + 1 }];
}

/** A line of `/proc/self/cgroup` is `number:controllers:path`; version 2 has no controllers in it. */
function ownGroup(memberships: string, controller: string): string {
  for (const line of memberships.split('\n')) {
    const [, controllers = '', ...rest] = line.split(':');
    if (controllers.split(',').includes(controller)) return rest.join(':');
  }
  return '/';
}

async function isWritable(folder: string): Promise<boolean> {
  return await access(folder, constants.W_OK).then(
    () => true,
    () => false,
  );
}
