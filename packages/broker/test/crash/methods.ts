import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@torcello/test-support';
import type { CrashableBroker } from './program.js';

/** How a campaign breaks the broker. */
export interface CrashMethod {
  /** Where the broker keeps its data. */
  readonly folder: string;
  /** Outcomes of publishes to wait for after the blow, before the broker is killed anyway; 0 when the blow ends it. */
  readonly outcomesAfter: number;
  /** Environment of the broker in this cycle. */
  env(cycle: number): Readonly<Record<string, string>>;
  strike(broker: CrashableBroker): void;
  /** Called when the broker is dead, before it starts again. */
  mend(): void;
  remove(): void;
}

/** Why a method cannot be used on this machine. */
export class CrashMethodMissing extends Error {}

export const crashKinds = ['kill', 'io', 'power', 'power-lie'] as const;
export type CrashKind = (typeof crashKinds)[number];

/** @throws CrashMethodMissing. */
export function crashMethod(kind: CrashKind): CrashMethod {
  if (kind === 'kill') return killing();
  return kind === 'io' ? spoilingIo() : losingPower(kind === 'power-lie');
}

function killing(): CrashMethod {
  const folder = temporaryFolder('broker-crash');
  return {
    folder: folder.path,
    outcomesAfter: 0,
    env: () => ({}),
    strike: (broker) => void broker.child.kill('SIGKILL'),
    mend: () => undefined,
    remove: () => folder.remove(),
  };
}

const ioKinds = ['write-eio', 'write-enospc', 'write-short', 'sync-eio'] as const;
const ioCallsMax = 12;

/** One call of the database after the blow fails: the first in the first cycles, then the second, and so on. */
function spoilingIo(): CrashMethod {
  const folder = temporaryFolder('broker-crash-io');
  const shim = compiled('faulty-disk.c', join(folder.path, 'faulty-disk.so'), ['-shared', '-fPIC', '-ldl']);
  const arm = join(folder.path, 'armed');
  return {
    folder: join(folder.path, 'data'),
    outcomesAfter: 400,
    env: (cycle) => {
      const at = 1 + (Math.floor((cycle - 1) / ioKinds.length) % ioCallsMax);
      const kind = ioKinds[(cycle - 1) % ioKinds.length] ?? 'write-eio';
      return { LD_PRELOAD: shim, FAULT_ARM: arm, FAULT_KIND: kind, FAULT_AT: String(at) };
    },
    strike: () => writeFileSync(arm, ''),
    mend: () => rmSync(arm, { force: true }),
    remove: () => folder.remove(),
  };
}

/** Sparse, and larger than the free space that the broker wants to see. */
const imageBytes = 2 ** 30;
const stoppedMs = 30;

/**
 * Loss of power: the broker's folder is a file system of its own that is cut off from its device. With lies, syncs of the
 * database do nothing from some call on: a rig that is worth something shows losses then.
 */
function losingPower(isLying: boolean): CrashMethod {
  if (process.getuid?.() !== 0) throw new CrashMethodMissing('it needs root, to mount a file system');
  const around = temporaryFolder('broker-crash-power');
  const image = join(around.path, 'disk.img');
  const cutOff = compiled('shutdown-file-system.c', join(around.path, 'cut-off'), []);
  const shim = compiled('faulty-disk.c', join(around.path, 'faulty-disk.so'), ['-shared', '-fPIC', '-ldl']);
  const mountPoint = temporaryFolder('broker-crash-disk');
  const file = openSync(image, 'w');
  ftruncateSync(file, imageBytes);
  closeSync(file);
  done('mkfs.ext4', '-q', '-F', image);
  done('mount', '-o', 'loop', image, mountPoint.path);
  const lie = { LD_PRELOAD: shim, FAULT_ARM: image, FAULT_KIND: 'sync-lie', FAULT_AT: '1' };
  return {
    folder: join(mountPoint.path, 'data'),
    outcomesAfter: 0,
    env: () => (isLying ? lie : {}),
    strike: (broker) => {
      broker.child.kill('SIGSTOP');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stoppedMs);
      done(cutOff, mountPoint.path);
      broker.child.kill('SIGKILL');
    },
    mend: () => {
      done('umount', mountPoint.path);
      done('mount', '-o', 'loop', image, mountPoint.path);
    },
    remove: () => {
      spawnSync('umount', ['-l', mountPoint.path]);
      mountPoint.remove();
      around.remove();
    },
  };
}

function compiled(source: string, file: string, options: readonly string[]): string {
  done('gcc', '-O1', '-o', file, fileURLToPath(new URL(source, import.meta.url)), ...options);
  return file;
}

function done(command: string, ...options: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, options, { encoding: 'utf8' });
  if (status === 0) return;
  throw new CrashMethodMissing(`${command} does not work here: ${error?.message ?? stderr.trim()}`);
}
