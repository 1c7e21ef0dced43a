import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { MessagingError, type ConnectOptions, type Destination, type Topology } from '@torcello/messaging';
import { decodeFile, encodeFile, type StoredMessage } from './codec.js';
import { fits } from './pattern.js';

/** A message that this connection took out of a queue and has not settled. */
export interface Taken extends StoredMessage {
  readonly queue: string;
  /** Where its file is now, and where it goes when it is given back. */
  readonly file: string;
  readonly home: string;
  /** How often it was handed out before. */
  readonly earlier: number;
}

export interface StoreSetting extends Pick<ConnectOptions, 'clock' | 'random'> {
  readonly root: string;
  /** Grows with every call: orders what happens within one millisecond. */
  readonly nextNumber: () => number;
}

interface Binding {
  readonly type: 'topic' | 'fanout';
  readonly pattern: string;
}

/**
 * The folder, as one connection sees it:
 *
 *     queues/NAME/ready/ORDER.COUNT     a message; COUNT is how often it was handed out
 *     queues/NAME/taken/CONNECTION/…    what a connection has in hand
 *     queues/NAME/readers/CONNECTION.N  a consumer
 *     queues/NAME/queue.json            the queue's options
 *     exchanges/NAME/QUEUE/PATTERN.json a binding
 *     connections/ID                    the process that has the connection
 *     fresh/…                           what is being written or thrown away
 *
 * Taking is renaming: the file system lets one of several takers have the file.
 */
export class Store {
  readonly id: string;
  readonly #root: string;
  readonly #clock: ConnectOptions['clock'];
  readonly #nextNumber: () => number;

  constructor(setting: StoreSetting) {
    this.#root = setting.root;
    this.#clock = setting.clock;
    this.#nextNumber = setting.nextNumber;
    this.id = setting.random.uuid();
  }

  /** Says that this connection is there, and tidies up behind those that are not any more. */
  async open(): Promise<void> {
    for (const name of ['queues', 'exchanges', 'connections', 'fresh'])
      await mkdir(this.#at(name), { recursive: true });
    await writeFile(this.#at('connections', this.id), String(process.pid));
    const gone = readdirSync(this.#at('connections')).filter((id) => !this.#isAlive(id));
    for (const id of gone) this.leave(id);
    for (const queue of listed(this.#at('queues'))) this.#dropExpired(decodeURIComponent(queue));
  }

  /** What a connection had in hand goes back to its queues. */
  leave(id: string = this.id): void {
    for (const queue of listed(this.#at('queues'))) {
      for (const file of listed(this.#at('queues', queue, 'taken', id))) {
        attempt(() =>
          renameSync(this.#at('queues', queue, 'taken', id, file), this.#at('queues', queue, 'ready', file)),
        );
      }
      rmSync(this.#at('queues', queue, 'taken', id), { recursive: true, force: true });
      for (const reader of listed(this.#at('queues', queue, 'readers'))) {
        if (reader.startsWith(id)) rmSync(this.#at('queues', queue, 'readers', reader), { force: true });
      }
    }
    rmSync(this.#at('connections', id), { force: true });
  }

  async ensure({ source, reachedBy, options, kind }: Topology): Promise<void> {
    const folder = this.#queue(source.queue);
    for (const name of ['taken', 'readers', 'ready']) await mkdir(path.join(folder, name), { recursive: true });
    await this.#write(path.join(folder, 'queue.json'), { expiresMs: options.expiresMs });
    const type = kind === 'fanout' ? 'fanout' : 'topic';
    for (const { exchange, routingKey } of reachedBy) {
      if (exchange === '') continue;
      const place = this.#at('exchanges', encodeURIComponent(exchange), encodeURIComponent(source.queue));
      await mkdir(place, { recursive: true });
      const binding: Binding = { type, pattern: routingKey };
      await this.#write(path.join(place, `${encodeURIComponent(routingKey)}.json`), binding);
    }
  }

  /** The queues that a destination leads to; undefined: there is no such exchange. */
  route({ exchange, routingKey }: Destination): readonly string[] | undefined {
    if (exchange === '') return existsSync(this.#queue(routingKey)) ? [routingKey] : [];
    const place = this.#at('exchanges', encodeURIComponent(exchange));
    if (!existsSync(place)) return undefined;
    return listed(place)
      .filter((queue) =>
        listed(path.join(place, queue)).some((file) => this.#leads(path.join(place, queue, file), routingKey)),
      )
      .map(decodeURIComponent);
  }

  /** Writes a message into a queue; it is on the disk when this resolves. False: the queue is gone. */
  async put(queue: string, stored: StoredMessage): Promise<boolean> {
    const [instant, number] = [String(this.#clock.now()), String(this.#nextNumber())];
    const name = `${instant.padStart(15, '0')}-${number.padStart(9, '0')}-${this.id}`;
    const fresh = this.#at('fresh', name);
    try {
      const handle = await open(fresh, 'w');
      await handle.writeFile(encodeFile(stored));
      await handle.datasync();
      await handle.close();
      await rename(fresh, path.join(this.#queue(queue), 'ready', `${name}.0`));
      return true;
    } catch (error) {
      await rm(fresh, { force: true });
      if (isMissing(error)) return false;
      throw error;
    }
  }

  /** The oldest message, taken. Undefined: there is none. @throws NOT_FOUND */
  take(queue: string): Taken | undefined {
    const folder = this.#queue(queue);
    for (const file of waiting(folder, queue)) {
      const taken = path.join(folder, 'taken', this.id, raised(file));
      if (!attempt(() => this.#move(path.join(folder, 'ready', file), taken))) continue;
      const stored = decodeFile(readFileSync(taken));
      if (stored.expiresAtMs !== undefined && stored.expiresAtMs <= this.#clock.now()) {
        unlinkSync(taken);
        continue;
      }
      const home = path.join(folder, 'ready', raised(file));
      return { ...stored, queue, file: taken, home, earlier: countOf(file) };
    }
    return undefined;
  }

  /** False: somebody else did, or the queue is gone. */
  forget({ file }: Taken): boolean {
    return attempt(() => unlinkSync(file));
  }

  giveBack({ file, home }: Taken): boolean {
    return attempt(() => renameSync(file, home));
  }

  async addReader(queue: string, number: number): Promise<void> {
    if (!existsSync(this.#queue(queue))) throw notFound(queue);
    await writeFile(path.join(this.#queue(queue), 'readers', `${this.id}.${number}`), '');
  }

  removeReader(queue: string, number: number): void {
    rmSync(path.join(this.#queue(queue), 'readers', `${this.id}.${number}`), { force: true });
  }

  has(queue: string): boolean {
    return existsSync(path.join(this.#queue(queue), 'ready'));
  }

  count(queue: string): { readonly messages: number; readonly consumers: number } {
    const folder = this.#queue(queue);
    return { messages: waiting(folder, queue).length, consumers: listed(path.join(folder, 'readers')).length };
  }

  async delete(queue: string): Promise<void> {
    // Renamed first, so that nobody sees half of it; and again where somebody wrote into it meanwhile.
    const gone = this.#at('fresh', `${this.#nextNumber()}-${this.id}`);
    attempt(() => renameSync(this.#queue(queue), gone));
    await rm(gone, { recursive: true, force: true, maxRetries: 5 });
    for (const exchange of await readdir(this.#at('exchanges'))) {
      await rm(this.#at('exchanges', exchange, encodeURIComponent(queue)), { recursive: true, force: true });
    }
  }

  /** Beside it and renamed: a reader sees the old file or the new one, and never half of it. */
  async #write(file: string, content: object): Promise<void> {
    const fresh = this.#at('fresh', `${this.#nextNumber()}-${this.id}`);
    await writeFile(fresh, JSON.stringify(content));
    await rename(fresh, file);
  }

  #leads(file: string, key: string): boolean {
    try {
      const { type, pattern } = JSON.parse(readFileSync(file, 'utf8')) as Binding;
      return type === 'fanout' || fits(pattern, key);
    } catch {
      // Unbound meanwhile.
      return false;
    }
  }

  #move(from: string, to: string): void {
    try {
      renameSync(from, to);
    } catch (error) {
      // The first message that this connection takes out of the queue, or another was quicker.
      if (!isMissing(error) || existsSync(path.dirname(to)) || !existsSync(from)) throw error;
      mkdirSync(path.dirname(to));
      renameSync(from, to);
    }
  }

  /** A queue that nobody reads and that was made to vanish then. */
  #dropExpired(queue: string): void {
    const folder = this.#queue(queue);
    attempt(() => {
      const { expiresMs } = JSON.parse(readFileSync(path.join(folder, 'queue.json'), 'utf8')) as { expiresMs?: number };
      const { mtimeMs } = statSync(path.join(folder, 'readers'));
      const isUnread = listed(path.join(folder, 'readers')).length === 0;
      if (expiresMs === undefined || !isUnread || this.#clock.now() - mtimeMs < expiresMs) return;
      rmSync(folder, { recursive: true, force: true });
    });
  }

  #isAlive(id: string): boolean {
    try {
      const pid = Number(readFileSync(this.#at('connections', id), 'utf8'));
      return process.kill(pid, 0);
    } catch (error) {
      // EPERM: it is there, and another user's.
      return codeOf(error) === 'EPERM';
    }
  }

  #queue(name: string): string {
    return this.#at('queues', encodeURIComponent(name));
  }

  #at(...parts: readonly string[]): string {
    return path.join(this.#root, ...parts);
  }
}

/** File names of what waits, oldest first. @throws NOT_FOUND */
function waiting(folder: string, queue: string): readonly string[] {
  try {
    return readdirSync(path.join(folder, 'ready')).toSorted();
  } catch (error) {
    throw isMissing(error) ? notFound(queue) : error;
  }
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Whether it could be done; what somebody else has moved or deleted meanwhile is no error. */
function attempt(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

const countOf = (file: string): number => Number(file.slice(file.lastIndexOf('.') + 1));
const raised = (file: string): string => `${file.slice(0, file.lastIndexOf('.'))}.${countOf(file) + 1}`;
const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT';

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function notFound(queue: string): MessagingError {
  return new MessagingError('NOT_FOUND', `there is no queue "${queue}"`, { details: { queue } });
}
