import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from './errors.js';

/** A plan tried to reach a place that it may not. */
export class PathRefused extends Error {
  readonly code = 'PATH_REFUSED';
}

/**
 * Where a path of a plan leads to. An absolute path is taken as it is. A relative one stays in `folder`: it neither
 * climbs out with `..` nor through a symbolic link below it.
 * @throws PathRefused
 */
export async function resolvePlanPath(folder: string, planPath: string): Promise<string> {
  if (path.isAbsolute(planPath)) return path.normalize(planPath);
  const target = path.resolve(folder, planPath);
  const inside = path.relative(folder, target);
  if (inside === '' || inside === '..' || inside.startsWith(`..${path.sep}`)) {
    throw new PathRefused(`${planPath} is outside of the application's folder`);
  }
  await refuseLinks(folder, path.dirname(inside), planPath);
  return target;
}

async function refuseLinks(folder: string, parents: string, planPath: string): Promise<void> {
  let at = folder;
  for (const part of parents.split(path.sep).filter((name) => name !== '.')) {
    at = path.join(at, part);
    const facts = await lstat(at).catch(undefinedWhenAbsent);
    if (facts === undefined) return;
    if (facts.isSymbolicLink()) throw new PathRefused(`${planPath} leads through a symbolic link`);
  }
}

/** A name for a folder out of a name for people; different ids keep different folders apart. */
export function folderName(environmentName: string, serviceId: string): string {
  const plain = (text: string): string => text.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 100);
  return `${plain(environmentName)}-${plain(serviceId)}`;
}

function undefinedWhenAbsent(error: unknown): undefined {
  if (systemCode(error) === 'ENOENT') return undefined;
  throw error;
}
