import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { limits } from '@torcello/contracts';
import type { Running } from '@torcello/test-support';
import { until } from './support/ledger-fleet.js';
import { startStack } from './support/stack.js';
import type { Stack } from './support/stack.js';
import { zipFolder } from './support/zip-folder.js';

/** A step that writes more than is kept of one, with the limit as it is and the compiled programs. Needs a build. */

const [firstLine, lines, lineBytes] = [10_000_001, 11_900_000, 9];
const writtenBytes = lines * lineBytes;
const keptBytes = limits.outputRunBytesMax.value;
/** So much more than before may a program take for it, with what the garbage collector leaves: less than the output. */
const growthBytesMax = 100_000_000;

const application = `machines: { node: { min: 1 } }
deploy:
  - role: node
    steps: [{ name: write, command: [seq, '${firstLine}', '${firstLine + lines - 1}'], timeout: 300s }]
`;

interface Output {
  readonly totalBytes: number;
  readonly fromOffset: number;
  readonly text: string;
  readonly isCut: boolean;
  readonly cut?: { readonly atBytes: number; readonly writtenBytes: number; readonly sha256?: string };
}

describe('a step that writes more than is kept', () => {
  let stack: Stack;
  let agent: Running;
  let deployment: string;
  const sha256 = createHash('sha256');
  const expected = writtenLines();
  sha256.update(expected);
  const digest = sha256.digest('hex');
  const idle = { api: 0, agent: 0 };

  before(async () => {
    stack = await startStack();
    const { environment, joinLine } = await makeMachine(stack);
    await stack.conductor();
    agent = await stack.agent('node-1', joinLine);
    idle.api = residentBytes(stack.pids().api);
    idle.agent = residentBytes(agent.pid);
    deployment = await deploy(stack, environment);
    await until(
      () => stack.request<{ state: string }>('GET', `/v1/deployments/${deployment}`),
      ({ state }) => state === 'succeeded',
    );
  });
  after(() => stack.stop());

  const output = async (): Promise<Output | undefined> =>
    (await stack.request<{ outputs: readonly Output[] }>('GET', `/v1/deployments/${deployment}/output?tailBytes=9000`))
      .outputs[0];

  test('all of it is kept up to the limit, then one cut says how much it was, with its digest', async () => {
    const seen = await until(output, (shown) => shown?.cut !== undefined);
    assert.deepEqual(
      [seen?.totalBytes, seen?.isCut, seen?.cut],
      [keptBytes, true, { atBytes: keptBytes, writtenBytes, sha256: digest }],
    );
    const { fromOffset = 0, text = '' } = seen ?? {};
    assert.equal(text, expected.subarray(fromOffset, keptBytes).toString());
  });

  test('a follower gets all that is kept, to the byte, and goes on where it was cut off', async () => {
    const follower = new Follower(stack, deployment, expected.subarray(0, keptBytes));
    assert.equal(await follower.read(40_000_000), 'cut off');
    const atBytes = follower.atBytes;
    assert.ok(atBytes >= 40_000_000 && atBytes < keptBytes, `it was cut off at ${atBytes}`);
    assert.equal(await follower.read(Number.POSITIVE_INFINITY), 'finished');
    assert.equal(follower.atBytes, keptBytes);
    assert.deepEqual(follower.cuts, [{ offset: keptBytes, totalBytes: writtenBytes, sha256: digest }]);
  });

  test('neither the API nor the agent holds it in memory', (t) => {
    const grown = {
      api: peakBytes(stack.pids().api) - idle.api,
      agent: peakBytes(agent.pid) - idle.agent,
    };
    t.diagnostic(`peak above idle: API ${megabytes(grown.api)}, agent ${megabytes(grown.agent)}`);
    for (const [program, bytes] of Object.entries(grown)) {
      assert.ok(bytes < growthBytesMax, `${program}: ${megabytes(bytes)} more at its peak`);
    }
  });
});

/** Reads the live stream, and compares while it reads. */
class Follower {
  readonly #stack: Stack;
  readonly #deployment: string;
  readonly #expected: Uint8Array;
  #lastId: string | undefined;
  /** Compared up to here. */
  atBytes = 0;
  readonly cuts: unknown[] = [];

  constructor(stack: Stack, deployment: string, expected: Uint8Array) {
    this.#stack = stack;
    this.#deployment = deployment;
    this.#expected = expected;
  }

  /** Until it ends by itself, or so many bytes have come. */
  async read(untilBytes: number): Promise<'finished' | 'cut off'> {
    const { url, token } = this.#stack.server();
    const response = await fetch(`${url}/v1/deployments/${this.#deployment}/output?follow=1`, {
      headers: { 'x-auth-token': token, ...(this.#lastId === undefined ? {} : { 'last-event-id': this.#lastId }) },
    });
    assert.equal(response.status, 200);
    let text = '';
    for await (const bytes of response.body ?? []) {
      text += Buffer.from(bytes).toString();
      const events = text.split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) if (this.#take(event) === 'finished') return 'finished';
      if (this.atBytes >= untilBytes) return 'cut off';
    }
    throw new Error('the stream ended before all of it had come');
  }

  #take(event: string): string | undefined {
    const field = (name: string): string | undefined =>
      event
        .split('\n')
        .find((line) => line.startsWith(`${name}: `))
        ?.slice(name.length + 2);
    const name = field('event');
    this.#lastId = field('id') ?? this.#lastId;
    const data = JSON.parse(field('data') ?? '{}') as Record<'offset' | 'totalBytes', number> &
      Record<'data' | 'sha256', string>;
    if (name === 'chunk') this.#compare(data.offset, Buffer.from(data.data, 'base64'));
    if (name === 'cut') this.cuts.push({ offset: data.offset, totalBytes: data.totalBytes, sha256: data.sha256 });
    return name;
  }

  #compare(offset: number, bytes: Uint8Array): void {
    assert.equal(offset, this.atBytes, 'no gap and no repeat');
    const wanted = this.#expected.subarray(offset, offset + bytes.length);
    assert.ok(Buffer.compare(bytes, wanted) === 0, `the bytes from ${offset} are not what was written`);
    this.atBytes += bytes.length;
  }
}

/** What `seq` writes. */
function writtenLines(): Buffer {
  const bytes = Buffer.allocUnsafe(writtenBytes);
  for (let line = 0; line < lines; line += 1) bytes.write(`${firstLine + line}\n`, line * lineBytes, 'latin1');
  return bytes;
}

async function makeMachine(stack: Stack): Promise<{ readonly environment: string; readonly joinLine: string }> {
  const source = path.join(stack.folder, 'package');
  mkdirSync(source);
  writeFileSync(
    path.join(source, 'manifest.yaml'),
    'Format: Torcello/1.0\nType: Application\nFullName: test.Writer\nName: Writer\nVersion: 1.0.0\n',
  );
  writeFileSync(path.join(source, 'application.yaml'), application);
  await stack.request('POST', '/v1/catalog/packages', zipFolder(source));
  const { id } = await stack.request<{ id: string }>('POST', '/v1/environments', { name: 'writer' });
  const made = await stack.request<{ machines: readonly { joinLine: string }[] }>(
    'POST',
    `/v1/environments/${id}/machines`,
    {
      role: 'node',
      count: 1,
    },
  );
  return { environment: id, joinLine: made.machines[0]?.joinLine ?? '' };
}

async function deploy(stack: Stack, environment: string): Promise<string> {
  const session = await stack.request<{ id: string }>('POST', `/v1/environments/${environment}/configure`);
  const service = { '?': { id: 'c'.repeat(32), type: 'test.Writer' } };
  const headers = { 'x-configuration-session': session.id };
  await stack.request('PUT', `/v1/environments/${environment}/services`, [service], headers);
  const route = `/v1/environments/${environment}/sessions/${session.id}/deploy`;
  return (await stack.request<{ deployment: string }>('POST', route)).deployment;
}

const residentBytes = (pid: number): number => statusBytes(pid, 'VmRSS');
const peakBytes = (pid: number): number => statusBytes(pid, 'VmHWM');

function statusBytes(pid: number, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? Number.NaN) * 1024;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(0)} MB`;
}
