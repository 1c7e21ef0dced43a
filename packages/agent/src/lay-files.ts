import type { PlanFile } from '@torcello/contracts/agent';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { resolvePlanPath } from './confined-path.js';
import { systemCode } from './errors.js';
import { writeFileDurably } from './files-sync.js';

/** Lays down, or removes, the files of a step. Doing it again does no harm. @throws PathRefused, or a system error. */
export async function layFiles(folder: string, files: readonly PlanFile[]): Promise<void> {
  for (const file of files) {
    const target = await resolvePlanPath(folder, file.path);
    if (file.remove === true) await remove(folder, target);
    else await write(target, file);
  }
}

async function write(target: string, file: PlanFile): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  await writeFileDurably(target, Buffer.from(file.body, 'base64'), file.mode);
}

/** Takes the file away, and the folders inside the application's folder that are empty after it. */
async function remove(folder: string, target: string): Promise<void> {
  await rm(target, { force: true });
  const isInside = target.startsWith(`${folder}${path.sep}`);
  for (let parent = path.dirname(target); isInside && parent !== folder; parent = path.dirname(parent)) {
    if (!(await removeWhenEmpty(parent))) return;
  }
}

/** False when something is in it. */
export async function removeWhenEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    if (code === 'ENOENT') return true;
    throw error;
  }
}
