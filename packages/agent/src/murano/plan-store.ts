import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../errors.js';
import { syncFolder, writeFileDurably } from '../files-sync.js';
import type { ProcessIdentity } from '../processes.js';

/** A message as it came. */
export interface ArrivedPlan {
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
  /** The message-id property; empty where there is none. */
  readonly id: string;
  readonly replyTo: string | null;
}

/** That a plan was begun, and by which process. */
export interface RunRecord {
  readonly attempts: number;
  readonly bootId: string;
  /** Undefined between the decision to begin and the start of the process. */
  readonly process?: ProcessIdentity;
}

/**
 * Plans on disk in murano-agent's layout: `<storage>/plans/<timestamp>/{plan.json,result.json}` and
 * `<storage>/plans/stamp`, so that either program goes on where the other stopped. `run.json` is ours.
 */
export class PlanStore {
  readonly #plans: string;
  readonly filesFolder: string;
  #lastKey = 0;
  #stamp = 0;

  private constructor(storage: string) {
    this.#plans = path.join(storage, 'plans');
    this.filesFolder = path.join(storage, 'files');
  }

  static async open(storage: string): Promise<PlanStore> {
    const store = new PlanStore(storage);
    await mkdir(store.#plans, { recursive: true, mode: 0o700 });
    await mkdir(store.filesFolder, { recursive: true, mode: 0o700 });
    const stamp = (await readIfThere(path.join(store.#plans, 'stamp'))).trim();
    store.#stamp = /^\d{1,16}$/.test(stamp) ? Number(stamp) : 0;
    return store;
  }

  /** The highest Stamp that was taken. */
  get stamp(): number {
    return this.#stamp;
  }

  async raiseStamp(stamp: number): Promise<void> {
    if (stamp <= this.#stamp) return;
    this.#stamp = stamp;
    await writeFileDurably(path.join(this.#plans, 'stamp'), String(stamp), 0o600);
  }

  /** A key for a plan that comes now. Keys sort as the plans came. */
  async nextKey(nowMs: number): Promise<string> {
    const newest = Number((await this.keys()).at(-1) ?? 0);
    this.#lastKey = Math.max(Math.floor(nowMs * 10), this.#lastKey + 1, newest + 1);
    return String(this.#lastKey);
  }

  /** Stores a plan; it shows among the keys when it is whole. */
  async put(key: string, plan: ArrivedPlan): Promise<void> {
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
    const { id: ID, replyTo: ReplyTo } = plan;
    const document = { Data: base64(plan.body), Signature: base64(plan.signature), ID, ReplyTo };
    const folder = path.join(this.#plans, `new-${key}`);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { mode: 0o700 });
    await writeFileDurably(path.join(folder, 'plan.json'), JSON.stringify(document), 0o600);
    await rename(folder, this.file(key));
    await syncFolder(this.#plans);
  }

  /** Keys of all plans that are not done with, oldest first. */
  async keys(): Promise<readonly string[]> {
    const names = (await readdir(this.#plans)).filter((name) => /^\d+$/.test(name));
    return names.toSorted((left, right) => Number(left) - Number(right));
  }

  /** Undefined when it cannot be read, as murano-agent leaves it behind when it is killed. */
  async plan(key: string): Promise<ArrivedPlan | undefined> {
    try {
      const document = JSON.parse(await readFile(this.file(key, 'plan.json'), 'utf8')) as Record<string, unknown>;
      const text = (name: string): string | undefined => {
        const value = document[name];
        return typeof value === 'string' ? value : undefined;
      };
      const bytes = (name: string): Uint8Array => Buffer.from(text(name) ?? '', 'base64');
      const [body, signature] = [bytes('Data'), bytes('Signature')];
      return { body, signature, id: text('ID') ?? '', replyTo: text('ReplyTo') ?? null };
    } catch (error) {
      if (error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** The answer's JSON; undefined while there is none. */
  async answer(key: string): Promise<string | undefined> {
    const text = await readIfThere(this.file(key, 'result.json'));
    return text === '' ? undefined : text;
  }

  async putAnswer(key: string, text: string): Promise<void> {
    await writeFileDurably(this.file(key, 'result.json'), text, 0o600);
  }

  async run(key: string): Promise<RunRecord | undefined> {
    const text = await readIfThere(this.file(key, 'run.json'));
    return text === '' ? undefined : (JSON.parse(text) as RunRecord);
  }

  async putRun(key: string, record: RunRecord): Promise<void> {
    await writeFileDurably(this.file(key, 'run.json'), JSON.stringify(record), 0o600);
  }

  async remove(key: string): Promise<void> {
    // A half-removed folder must not come back as a plan.
    const gone = path.join(this.#plans, `gone-${key}`);
    await rm(gone, { recursive: true, force: true });
    await rename(this.file(key), gone);
    await rm(gone, { recursive: true, force: true });
  }

  file(key: string, name: string = ''): string {
    return path.join(this.#plans, key, name);
  }
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  }
}
