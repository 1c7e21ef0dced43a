import path from 'node:path';
import type { JournalDisk, JournalFile } from '../journal-disk.js';

const sectorBytes = 512;

/** One write that nobody has synced yet. */
type Change =
  | { readonly kind: 'write'; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'cut'; readonly length: number };

class Inode {
  /** What a power loss cannot take. */
  durable: Buffer = Buffer.alloc(0);
  /** What a reader sees. */
  live: Buffer = Buffer.alloc(0);
  unsynced: Change[] = [];
}

type Names = Map<string, Inode>;
type NameChange = (names: Names) => void;

export class PowerLost extends Error {}

/** A disk in memory that can lose its power at any operation; then it keeps what its seed says of what was not synced. */
export class SimulatedDisk implements JournalDisk {
  readonly #random: () => number;
  readonly #capacityBytes: () => number;
  readonly #names: Names;
  readonly #durableNames: Names;
  #unsyncedNames: NameChange[] = [];
  #operationsLeft = Infinity;
  #isSyncing = true;

  constructor(random: () => number, options: { readonly capacityBytes?: () => number; readonly names?: Names } = {}) {
    this.#random = random;
    this.#capacityBytes = options.capacityBytes ?? (() => Infinity);
    this.#names = new Map(options.names);
    this.#durableNames = new Map(options.names);
  }

  /** The power goes at the n-th operation from now, which may still happen or not. */
  losePowerAfter(operations: number): void {
    this.#operationsLeft = operations;
  }

  /** A sync resolves from now on, and does nothing. */
  stopSyncing(): void {
    this.#isSyncing = false;
  }

  get hasPower(): boolean {
    return this.#operationsLeft > 0;
  }

  /** The disk as it is when the power is back. */
  afterPowerLoss(): SimulatedDisk {
    const names = new Map(this.#durableNames);
    // The file system writes changes of names in their order.
    const kept = Math.floor(this.#random() * (this.#unsyncedNames.length + 1));
    for (const change of this.#unsyncedNames.slice(0, kept)) change(names);
    const survivors = new Map<Inode, Inode>();
    for (const inode of new Set(names.values())) survivors.set(inode, this.#survivor(inode));
    const entries = [...names].map(([name, inode]) => [name, survivors.get(inode) ?? inode] as const);
    return new SimulatedDisk(this.#random, { capacityBytes: this.#capacityBytes, names: new Map(entries) });
  }

  makeFolder(): Promise<void> {
    return Promise.resolve();
  }

  read(file: string): Promise<Buffer | undefined> {
    const inode = this.#names.get(file);
    return Promise.resolve(inode === undefined ? undefined : Buffer.from(inode.live));
  }

  async open(file: string, how: 'append' | 'new'): Promise<JournalFile> {
    await this.#operate();
    const found = this.#names.get(file);
    if (found !== undefined && how === 'new') throw systemError('EEXIST');
    const inode = found ?? new Inode();
    if (found === undefined) this.#rename((names) => names.set(file, inode));
    return {
      append: (bytes) => this.#append(inode, Buffer.from(bytes)),
      truncate: async (length) => {
        await this.#operate();
        change(inode, { kind: 'cut', length });
      },
      sync: async () => {
        await this.#operate();
        if (!this.#isSyncing) return;
        inode.durable = Buffer.from(inode.live);
        inode.unsynced = [];
      },
      close: () => Promise.resolve(),
    };
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#operate();
    const inode = this.#names.get(from);
    if (inode === undefined) throw systemError('ENOENT');
    this.#rename((names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  async link(from: string, to: string): Promise<void> {
    await this.#operate();
    const inode = this.#names.get(from);
    if (inode === undefined) throw systemError('ENOENT');
    this.#rename((names) => names.set(to, inode));
  }

  async remove(file: string): Promise<void> {
    await this.#operate();
    if (this.#names.has(file)) this.#rename((names) => names.delete(file));
  }

  async syncFolder(folder: string): Promise<void> {
    await this.#operate();
    if (!this.#isSyncing) return;
    const isInside = (name: string): boolean => path.dirname(name) === folder;
    for (const name of [...this.#durableNames.keys()].filter(isInside)) this.#durableNames.delete(name);
    for (const [name, inode] of this.#names) if (isInside(name)) this.#durableNames.set(name, inode);
    this.#unsyncedNames = [];
  }

  /** Takes a turn, so that operations of several callers mix; fails when the power is gone. */
  async #operate(): Promise<void> {
    await Promise.resolve();
    if (this.#operationsLeft <= 0) throw new PowerLost('the power is gone');
    this.#operationsLeft -= 1;
    if (this.#operationsLeft <= 0 && this.#random() < 0.5) throw new PowerLost('the power is gone');
  }

  async #append(inode: Inode, bytes: Buffer): Promise<void> {
    await this.#operate();
    const used = [...new Set(this.#names.values())].reduce((sum, { live }) => sum + live.length, 0);
    const room = Math.max(0, this.#capacityBytes() - used);
    change(inode, { kind: 'write', at: inode.live.length, bytes: bytes.subarray(0, room) });
    if (bytes.length > room) throw systemError('ENOSPC');
  }

  #rename(apply: NameChange): void {
    apply(this.#names);
    this.#unsyncedNames.push(apply);
  }

  /** Each unsynced change is kept, dropped, or torn: of its sectors some are there and others are not. */
  #survivor(inode: Inode): Inode {
    const left = new Inode();
    left.durable = Buffer.from(inode.durable);
    for (const unsynced of inode.unsynced) {
      const fate = this.#random();
      if (fate < 0.35) left.durable = changed(left.durable, unsynced);
      else if (fate < 0.7 && unsynced.kind === 'write') this.#tear(left, unsynced);
    }
    left.live = Buffer.from(left.durable);
    return left;
  }

  #tear(left: Inode, write: Extract<Change, { readonly kind: 'write' }>): void {
    for (let at = 0; at < write.bytes.length;) {
      const end = Math.min(write.bytes.length, at + sectorBytes - ((write.at + at) % sectorBytes));
      const isKept = this.#random() < 0.5;
      const bytes = write.bytes.subarray(at, end);
      if (isKept) left.durable = changed(left.durable, { kind: 'write', at: write.at + at, bytes });
      at = end;
    }
  }
}

function change(inode: Inode, one: Change): void {
  inode.live = changed(inode.live, one);
  inode.unsynced.push(one);
}

/** A gap before a write reads as zeros. */
function changed(content: Buffer, one: Change): Buffer {
  if (one.kind === 'cut') return Buffer.from(content.subarray(0, one.length));
  const size = Math.max(content.length, one.at + one.bytes.length);
  const next = Buffer.alloc(size);
  content.copy(next);
  one.bytes.copy(next, one.at);
  return next;
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code, syscall: 'simulated' });
}
