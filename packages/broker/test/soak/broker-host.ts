import { readdirSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { run, temporaryFolder } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';
import { LmdbStore } from '../../src/index.js';
import { bundleBroker } from '../crash/program.js';

/** What the broker's process says of itself, after a garbage collection. */
export interface Insides {
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly rssBytes: number;
  /** Of that, what is no mapped file. */
  readonly neededBytes: number;
  readonly timers: number;
  /** Since the last question. */
  readonly loopDelayMs: { readonly typical: number; readonly most: number };
  readonly processorMs: number;
}

type Row = Readonly<Record<string, unknown>>;

const login = { TORCELLO_BROKER_USER: 'guest', TORCELLO_BROKER_PASSWORD: 'guest' };
/** A small memory for messages, so that a backlog lies on disk; and what a fleet needs. */
const limits = ['residentMessageBytesMax=8388608', 'unreadBytesMax=1048576'];
const options = [...limits.flatMap((limit) => ['--limit', limit]), '--permit', 'transient_nonexcl_queues'];

/** The broker as a process of its own on one folder, over all its lives. */
export class BrokerHost {
  readonly #around = temporaryFolder('broker-soak');
  readonly #program: string;
  #running: Running | undefined;
  #amqp = '';
  #management = '';
  /** How often it went down. Odd-looking errors around a change of this number are none. */
  ends = 0;
  isUp = false;
  startMs = 0;

  private constructor(program: string) {
    this.#program = program;
  }

  static async start(): Promise<BrokerHost> {
    const program = await bundleBroker(fileURLToPath(new URL('./program.ts', import.meta.url)));
    const host = new BrokerHost(program);
    await host.start();
    return host;
  }

  get folder(): string {
    return this.#around.path;
  }

  url(user: string, password: string): string {
    return `amqp://${user}:${password}@${this.#amqp}`;
  }

  async start(): Promise<void> {
    const startedAt = performance.now();
    const data = join(this.folder, 'data');
    const args = ['--expose-gc', this.#program, '--data', data, '--port', '0', ...options];
    this.#running = run(process.execPath, args, { env: { ...login, SOAK_PROBE: this.#socket } });
    const line = await this.#running.line((text) => text.includes('"ready":true'));
    this.startMs = performance.now() - startedAt;
    ({ amqp: this.#amqp, management: this.#management } = JSON.parse(line) as { amqp: string; management: string });
    this.isUp = true;
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    this.ends++;
    this.isUp = false;
    await this.#running?.stop(signal);
  }

  /** Lines of its log so far that say that something failed inside. */
  failures(): string[] {
    const lines = this.#running?.output().stderr.split('\n') ?? [];
    return lines.filter((line) => line.includes('"level":"error"') || line.includes('torcello-broker:'));
  }

  /** What a broker that has stopped left in its store: messages, and declarations by kind. */
  async left(): Promise<Readonly<Record<string, number>>> {
    const store = new LmdbStore(join(this.folder, 'data', 'broker.lmdb'));
    const counts: Record<string, number> = { messages: [...store.messages()].length };
    for (const { key } of store.entities()) {
      const [kind = ''] = key.split('/');
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    await store.close();
    return counts;
  }

  remove(): void {
    this.#around.remove();
  }

  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`;
    const request = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(`${this.#management}/api/${path}`, { method, headers: { authorization }, ...request });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  }

  async rows(path: string): Promise<readonly Row[]> {
    return (await this.ask('GET', path)) as readonly Row[];
  }

  insides(): Promise<Insides> {
    return this.#peep('figures') as Promise<Insides>;
  }

  async heapSnapshot(file: string): Promise<void> {
    await this.#peep(file);
  }

  get openFiles(): number {
    return readdirSync(`/proc/${this.#running?.pid}/fd`).length;
  }

  fileBytes(name: string): number {
    return statSync(join(this.folder, 'data', name), { throwIfNoEntry: false })?.size ?? 0;
  }

  get #socket(): string {
    return join(this.folder, 'window');
  }

  async #peep(word: string): Promise<unknown> {
    const socket = createConnection(this.#socket);
    socket.write(word);
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    return JSON.parse(text) as unknown;
  }
}
