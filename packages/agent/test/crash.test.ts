import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { PlanHeader, PlanStep, ResultMessage } from '@torcello/contracts/agent';
import { run } from '@torcello/test-support';
import { rolldown } from 'rolldown';
import { PlanKeys, headerOf, payloadOf, planIdOf, type OutputChunk } from './support/control.js';
import { isRunning } from './support/eventually.js';
import { temporaryFolder } from './support/folder.js';

const builtOnce = await temporaryFolder();
after(() => builtOnce[Symbol.asyncDispose]());
/** The child as one file: a hundred lives start faster than from sources. */
const child = await bundleChild();

async function bundleChild(): Promise<string> {
  const file = path.join(builtOnce.path, 'crash-child.mjs');
  const bundle = await rolldown({
    input: fileURLToPath(new URL('support/crash-child.ts', import.meta.url)),
    platform: 'node',
    transform: { target: 'node20.19' },
    resolve: { conditionNames: ['source', 'import', 'node'] },
  });
  await bundle.write({ file, format: 'esm', codeSplitting: false });
  await bundle.close();
  return file;
}

/** Two plans; the first writes a ledger of its own, slowly enough to be alive at any point, and talks. */
async function prepare(folder: string): Promise<void> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const keys = new PlanKeys(privateKey);
  const ledger = path.join(folder, 'ledger');
  const note = (word: string): string[] => [
    'sh',
    '-c',
    `echo ${word}-start >> ${ledger}; sleep 0.1; echo ${word}-end >> ${ledger}`,
  ];
  const first = payloadOf([
    { name: 'files', files: [{ path: 'a', mode: 0o600, body: '' }] },
    { name: 'one', command: note('one') },
    {
      name: 'talk',
      command: ['sh', '-c', `echo talk >> ${ledger}; for n in 1 2 3 4 5 6; do echo line $n; sleep 0.05; done`],
    },
  ]);
  const second = payloadOf([{ name: 'two', command: ['sh', '-c', `echo two >> ${ledger}`] }], { planId: planIdOf(2) });
  const letters = [keys.seal(headerOf(keys), first), keys.seal(headerOf(keys, { planId: planIdOf(2) }), second)].map(
    (letter) => Buffer.from(letter).toString('base64'),
  );
  await writeFile(path.join(folder, 'letters.json'), JSON.stringify(letters));
  await writeFile(path.join(folder, 'cancels.json'), '[]');
  await writeFile(path.join(folder, 'plan.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

/** One life of the agent. True when it was killed at its point, false when it came to its end. */
async function live(folder: string, crashAt: number, env: Readonly<Record<string, string>> = {}): Promise<boolean> {
  const running = run(process.execPath, [child, folder], { env: { ...env, CRASH_AT: String(crashAt) } });
  const { code, signal } = await running.exited;
  if (signal === 'SIGKILL') return true;
  assert.equal(code, 0, running.output().stderr);
  return false;
}

interface Received {
  readonly kind: string;
  readonly body: ResultMessage & OutputChunk;
}

async function receivedIn(folder: string): Promise<readonly Received[]> {
  const text = await readFile(path.join(folder, 'received'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Received);
}

/** As the API keeps output: the first chunk of an offset stays. A gap shows as a hole. */
function outputOf(received: readonly Received[], step: string): string {
  const byOffset = new Map<number, string>();
  for (const { kind, body } of received) {
    if (kind === 'output' && body.step === step && !byOffset.has(body.offset)) byOffset.set(body.offset, body.text);
  }
  let whole = '';
  for (const [offset, text] of [...byOffset].toSorted(([one], [other]) => one - other)) {
    if (offset > whole.length) return `${whole}<gap before ${offset}>`;
    whole = whole.slice(0, offset) + text;
  }
  return whole;
}

async function check(folder: string, at: string): Promise<void> {
  const ledger = await readFile(path.join(folder, 'ledger'), 'utf8');
  assert.equal(ledger, 'one-start\none-end\ntalk\ntwo\n', at);
  const received = await receivedIn(folder);
  const results = received.filter(({ kind }) => kind === 'result').map(({ body }) => body);
  for (const number of [1, 2]) {
    const outcomes = results.filter(({ planId }) => planId === planIdOf(number)).map(({ outcome }) => outcome);
    assert.deepEqual([...new Set(outcomes)], ['succeeded'], at);
  }
  assert.equal(outputOf(received, 'talk'), [1, 2, 3, 4, 5, 6].map((n) => `line ${n}\n`).join(''), at);
}

test('killed at any point of its work, an agent that comes back runs every step once and tells it all', async () => {
  await using sample = await temporaryFolder();
  await prepare(sample.path);
  assert.equal(await live(sample.path, 0), false);
  await check(sample.path, 'never killed');
  const points = (await readFile(path.join(sample.path, 'points'), 'utf8')).trim().split('\n');
  assert.ok(points.length > 20, `only ${points.length} points`);

  const lives = points.map((name, index) => async (): Promise<void> => {
    await using folder = await temporaryFolder();
    await prepare(folder.path);
    // Output comes in chunks as time will have it, so that the last points may not be reached.
    await live(folder.path, index + 1);
    await live(folder.path, 0);
    await check(folder.path, `killed at ${name}`);
  });
  const lane = async (): Promise<void> => {
    for (let next = lives.shift(); next !== undefined; next = lives.shift()) await next();
  };
  await Promise.all([lane(), lane()]);
});

test('killed again and again, at the fourth point of every life, it still gets to the end', async () => {
  await using folder = await temporaryFolder();
  await prepare(folder.path);
  let isKilled = true;
  for (let lifeNumber = 0; lifeNumber < 15 && isKilled; lifeNumber += 1) isKilled = await live(folder.path, 4);
  await live(folder.path, 0);
  await check(folder.path, 'killed again and again');
});

/**
 * Plan 1 runs with a child that has left it, and does not listen; 2 waits behind it; 3 takes the place of 4. Then 1, 2 and
 * 9, which nobody knows, are cancelled.
 */
async function prepareCancels(folder: string): Promise<void> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const keys = new PlanKeys(privateKey);
  const ledger = path.join(folder, 'ledger');
  const hold = `while [ -e ${folder} ]; do sleep 0.1; done`;
  const inside = `trap '' TERM; echo \\$\\$ >> ${folder}/pids; ${hold}`;
  const ready = `while [ $(wc -l < ${folder}/pids) -lt 2 ]; do sleep 0.02; done`;
  const script = `echo $$ >> ${folder}/pids; setsid sh -c "${inside}" & ${ready}; echo start >> ${ledger}; ${hold}`;
  const touch = (word: string): Partial<PlanStep> => ({ command: ['sh', '-c', `echo ${word} >> ${ledger}`] });
  const seal = (number: number, steps: readonly Partial<PlanStep>[], header: Partial<PlanHeader> = {}): string => {
    const planId = planIdOf(number);
    const letter = keys.seal(headerOf(keys, { planId, ...header }), payloadOf(steps, { planId }));
    return Buffer.from(letter).toString('base64');
  };
  const cancel = (number: number): string => {
    const planId = planIdOf(number);
    const letter = keys.seal(headerOf(keys, { planId, kind: 'cancel' }), {
      format: 'torcello/1',
      planId,
      graceMs: 300,
    });
    return Buffer.from(letter).toString('base64');
  };
  const letters = [
    seal(1, [{ command: ['sh', '-c', script] }, touch('never')]),
    seal(2, [touch('two')]),
    seal(4, [touch('four')]),
    seal(3, [touch('three')], { replaces: [planIdOf(4)] }),
  ];
  await writeFile(path.join(folder, 'letters.json'), JSON.stringify(letters));
  await writeFile(path.join(folder, 'cancels.json'), JSON.stringify([1, 2, 9].map(cancel)));
  await writeFile(path.join(folder, 'plan.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

async function checkCancels(folder: string, at: string): Promise<void> {
  assert.equal(await readFile(path.join(folder, 'ledger'), 'utf8'), 'start\nthree\n', at);
  const results = (await receivedIn(folder)).filter(({ kind }) => kind === 'result').map(({ body }) => body);
  const expected = new Map([
    [1, 'cancelled started'],
    [2, 'cancelled'],
    [3, 'succeeded started'],
    [4, 'superseded'],
    [9, 'cancelled'],
  ]);
  for (const [number, end] of expected) {
    const ends = results
      .filter(({ planId }) => planId === planIdOf(number))
      .map(({ outcome, startedAtMs }) => `${outcome}${startedAtMs === undefined ? '' : ' started'}`);
    assert.deepEqual([...new Set(ends)], [end], `plan ${number}, ${at}: ${JSON.stringify(results)}`);
  }
  const pids = (await readFile(path.join(folder, 'pids'), 'utf8')).trim().split('\n').map(Number);
  assert.ok(new Set(pids).size > 1, 'the child that left has told its id');
  for (const pid of pids) assert.equal(await isRunning(pid), false, `process ${pid} lives on, ${at}`);
}

test('killed at any point of a cancel or of a take-over, an agent that comes back ends all that it should, once', async () => {
  const env = { RESULTS: '5' };
  await using sample = await temporaryFolder();
  await prepareCancels(sample.path);
  assert.equal(await live(sample.path, 0, env), false);
  await checkCancels(sample.path, 'never killed');
  const points = (await readFile(path.join(sample.path, 'points'), 'utf8')).trim().split('\n');
  for (const point of ['journalled ending', 'treeAsked', 'treeKilled'])
    assert.ok(
      points.some((line) => line.includes(point)),
      `${point} was not reached`,
    );

  const lives = points.map((name, index) => async (): Promise<void> => {
    await using folder = await temporaryFolder();
    await prepareCancels(folder.path);
    await live(folder.path, index + 1, env);
    await live(folder.path, 0, env);
    await checkCancels(folder.path, `killed at ${name}`);
  });
  const lane = async (): Promise<void> => {
    for (let next = lives.shift(); next !== undefined; next = lives.shift()) await next();
  };
  await Promise.all([lane(), lane()]);
});
