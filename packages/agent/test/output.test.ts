import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile, appendFile, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { outputHeaders } from '@torcello/contracts/agent';
import { silentLogger, systemClock } from '@torcello/platform';
import { Journal } from '../src/journal.js';
import { OutputSpool, type OutputOptions } from '../src/output.js';
import { systemMachine } from '../src/step-machine.js';
import type { UplinkMessage } from '../src/uplink.js';
import { deploymentId, planIdOf } from './support/control.js';

const planId = planIdOf(1);

interface Sent {
  readonly offset: number;
  readonly text: string;
  readonly isLast: boolean;
  readonly sha256: string | undefined;
}

/** A spool over a real journal, with a scripted way up. */
class Bench implements AsyncDisposable {
  readonly folder: string;
  readonly journal: Journal;
  readonly file: string;
  readonly sent: Sent[] = [];
  /** Called for every publish; a throw is a failed one. */
  onSend: (sent: Sent) => void = () => undefined;
  #running: { readonly stop: AbortController; readonly done: Promise<void> } | undefined;
  #spool: OutputSpool | undefined;

  private constructor(folder: string, journal: Journal) {
    this.folder = folder;
    this.journal = journal;
    this.file = path.join(folder, 'output');
  }

  static async make(): Promise<Bench> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'torcello-output-'));
    const { journal } = await Journal.open(folder, { nowMs: 1, onFailure: (error) => assert.fail(String(error)) });
    const received = { planId, deploymentId, stage: 's', epoch: 1, digest: '', receivedAtMs: 1 };
    await journal.write({ type: 'received', ...received });
    await journal.write({ type: 'stepStarting', planId, step: 0, attempt: 1, purpose: 'run', bootId: '', atMs: 1 });
    return new Bench(folder, journal);
  }

  start(limits: Pick<OutputOptions, 'runBytesMax' | 'excessBytesMax'> = {}): OutputSpool {
    const stop = new AbortController();
    const spool = new OutputSpool({
      clock: systemClock,
      logger: silentLogger,
      journal: this.journal,
      machine: systemMachine,
      uplink: async () => async (message) => this.#take(message),
      onSent: () => stop.abort(),
      ...limits,
    });
    spool.follow({ deploymentId, planId, index: 0, step: 'a', file: this.file });
    this.#spool = spool;
    this.#running = { stop, done: spool.run(stop.signal) };
    return spool;
  }

  /** Resolves when everything is sent. */
  async drain(): Promise<void> {
    this.#spool?.ended(planId, 0);
    await this.#running?.done;
  }

  async stop(): Promise<void> {
    this.#running?.stop.abort();
    await this.#running?.done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.journal.close();
    await rm(this.folder, { recursive: true });
  }

  #take({ body, headers }: UplinkMessage): void {
    assert.ok(body instanceof Uint8Array);
    const sent = {
      offset: Number(headers?.[outputHeaders.offset]),
      text: Buffer.from(body).toString('latin1'),
      isLast: headers?.[outputHeaders.last] === true,
      sha256: headers?.[outputHeaders.sha256] as string | undefined,
    };
    this.onSend(sent);
    this.sent.push(sent);
  }
}

test('output goes in chunks that say their offset, then an end', async () => {
  await using bench = await Bench.make();
  await writeFile(bench.file, 'x'.repeat(150_000));
  bench.start();
  await bench.drain();
  assert.deepEqual(
    bench.sent.map(({ offset, text, isLast }) => [offset, text.length, isLast]),
    [
      [0, 65_536, false],
      [65_536, 65_536, false],
      [131_072, 18_928, false],
      [150_000, 0, true],
    ],
  );
});

test('a chunk that failed is sent again with the same end, although more was written meanwhile', async () => {
  await using bench = await Bench.make();
  await writeFile(bench.file, 'one');
  let failures = 1;
  const tried: Sent[] = [];
  const failed = new Promise<void>((resolve) => {
    bench.onSend = (sent) => {
      tried.push(sent);
      if (failures === 0) return;
      failures -= 1;
      resolve();
      throw new Error('not confirmed');
    };
  });
  bench.start();
  await failed;
  await appendFile(bench.file, 'two');
  await bench.drain();
  assert.deepEqual(
    tried.map(({ offset, text }) => [offset, text]),
    [
      [0, 'one'],
      [0, 'one'],
      [3, 'two'],
      [6, ''],
    ],
  );
});

test('a new spool goes on at the confirmed offset, and with the end of the chunk that was on its way', async () => {
  await using bench = await Bench.make();
  await writeFile(bench.file, 'one');
  const first = new Promise<void>((resolve) => (bench.onSend = () => resolve()));
  bench.start();
  await first;
  await bench.stop();
  await appendFile(bench.file, 'two');
  const second = new Promise<void>((resolve) => {
    bench.onSend = () => {
      resolve();
      throw new Error('the answer got lost');
    };
  });
  bench.start();
  await second;
  await bench.stop();
  await appendFile(bench.file, 'three');
  bench.onSend = () => undefined;
  bench.start();
  await bench.drain();
  assert.deepEqual(
    bench.sent.map(({ offset, text }) => [offset, text]),
    [
      [0, 'one'],
      [3, 'two'],
      [6, 'three'],
      [11, ''],
    ],
  );
});

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

test('the end tells length and SHA-256 of everything', async () => {
  await using bench = await Bench.make();
  await writeFile(bench.file, 'one two');
  bench.start();
  await bench.drain();
  assert.deepEqual(bench.sent.at(-1), { offset: 7, text: '', isLast: true, sha256: sha256('one two') });
});

test('what is over the limit of a run is neither sent nor kept, but counted and hashed by the end', async () => {
  await using bench = await Bench.make();
  const text = Array.from({ length: 60_000 }, (_, index) => `line ${index}\n`).join('');
  const half = text.length / 2;
  await writeFile(bench.file, text.slice(0, half));
  bench.start({ runBytesMax: 100, excessBytesMax: 65_536 });
  await new Promise<void>((resolve) => (bench.onSend = () => resolve()));
  const blocksOf = async (): Promise<number> => (await stat(bench.file)).blocks * 512;
  const deadline = AbortSignal.timeout(20_000);
  while ((await blocksOf()) > 70_000) {
    deadline.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await appendFile(bench.file, text.slice(half));
  await bench.drain();
  assert.deepEqual(bench.sent, [
    { offset: 0, text: text.slice(0, 100), isLast: false, sha256: undefined },
    { offset: text.length, text: '', isLast: true, sha256: sha256(text) },
  ]);
});

test('an agent that takes over a cut output tells its length, and no hash that it cannot know', async () => {
  await using bench = await Bench.make();
  await writeFile(bench.file, 'x'.repeat(200_000));
  const isFreed = new Promise<void>((resolve) => (bench.onSend = () => resolve()));
  bench.start({ runBytesMax: 100, excessBytesMax: 65_536 });
  await isFreed;
  await bench.stop();
  await appendFile(bench.file, 'y'.repeat(50));
  bench.start({ runBytesMax: 100, excessBytesMax: 65_536 });
  await bench.drain();
  assert.deepEqual(bench.sent.at(-1), { offset: 200_050, text: '', isLast: true, sha256: undefined });
});
