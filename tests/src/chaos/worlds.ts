import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { root } from '../tidy/sources.js';

/** The machine as one program sees it: a wall clock that can be set, and a boot id that can change. */
export interface World {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Puts the wall clock off by so much; the monotonic clock does not notice. */
  setClock(offsetMs: number): void;
  /** As after a restart of the machine; what is read before stays as it was. */
  reboot(): void;
}

/** Makes worlds; `isReal` is false where no C compiler is, and then clock and boot id are everybody's. */
export interface Worlds {
  readonly isReal: boolean;
  /** The world of that name; the same one every time. */
  make(name: string): World;
}

/** @param folder - where the worlds' files and the compiled shim are kept. */
export function makeWorlds(folder: string): Worlds {
  mkdirSync(folder, { recursive: true });
  const shim = path.join(folder, 'world-shim.so');
  const source = path.join(root, 'tests', 'src', 'chaos', 'world-shim.c');
  const isReal = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', shim, source, '-ldl']).status === 0;
  const made = new Map<string, World>();
  const make = (name: string): World => {
    const world = made.get(name) ?? makeWorld(path.join(folder, name), isReal ? shim : undefined);
    made.set(name, world);
    return world;
  };
  return { isReal, make };
}

const nsPerMs = 1_000_000n;

function makeWorld(folder: string, shim: string | undefined): World {
  mkdirSync(folder, { recursive: true });
  const clock = path.join(folder, 'clock');
  const bootId = path.join(folder, 'boot-id');
  let boots = 0;
  const setClock = (offsetMs: number): void => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(Math.round(offsetMs)) * nsPerMs);
    // In place: the programs have the file mapped.
    const file = openSync(clock, 'r+');
    writeSync(file, bytes, 0, bytes.length, 0);
    closeSync(file);
  };
  const reboot = (): void => writeFileSync(bootId, `boot-${(boots += 1)}\n`);
  writeFileSync(clock, Buffer.alloc(8));
  reboot();
  // Steps see no more of the agent's environment than PATH, HOME and LANG: HOME leads them to the boot id.
  const env = { CHAOS_WORLD: folder, HOME: folder, ...(shim === undefined ? {} : { LD_PRELOAD: shim }) };
  return { folder, env, setClock, reboot };
}
