import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import type { PlanPayload, PlanStep } from '@torcello/contracts';
import { isMuranoQueue, muranoPlanId, muranoQueueName, nextStamp, readMuranoPlanId } from '@torcello/contracts';
import { sleep, systemClock } from '@torcello/platform';
import { temporaryFolder } from '@torcello/test-support';
import { muranoPlan } from '../src/murano/murano-plan.js';

interface Script {
  readonly Type: string;
  readonly EntryPoint: string;
  readonly Files: readonly string[];
  readonly Options: Readonly<Record<string, boolean>>;
}
interface Plan {
  readonly FormatVersion: string;
  readonly ID: string;
  readonly Stamp: number;
  readonly Body: string;
  readonly Options: object;
  readonly Scripts: Readonly<Record<string, Script>>;
  readonly Files: Readonly<Record<string, { readonly Name: string; readonly BodyType: string; readonly Body: string }>>;
}
interface Told {
  readonly outcome: string;
  readonly code: number;
  readonly startedAt: number;
  readonly bytes: number;
  readonly output: string;
  readonly exitCode: number;
}

const folder = temporaryFolder('murano-plan');
after(() => folder.remove());
const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString('base64');

function stepOf(changes: Partial<PlanStep> & { readonly script?: string }): PlanStep {
  const { script, ...others } = changes;
  const files = script === undefined ? [] : [{ path: 'run.sh', mode: 0o700, body: base64(script) }];
  const command = script === undefined ? {} : { command: ['sh', './run.sh'] };
  return { name: 'work', files, env: {}, timeoutMs: 30_000, onInterrupt: 'fail', ...command, ...others };
}

let plans = 0;
function payloadOf(steps: readonly PlanStep[]): PlanPayload {
  plans += 1;
  return {
    format: 'torcello/1',
    deploymentId: 'd'.repeat(32),
    planId: String(plans).padStart(32, '0'),
    stage: 'svc/web',
    action: 'deploy',
    environment: { id: 'e'.repeat(32), name: 'shop' },
    service: { id: 'svc', type: 'io.example.App' },
    machine: { id: 'f'.repeat(32), name: 'web-1', role: 'web', index: 0 },
    steps,
  };
}

function planOf(payload: PlanPayload, startByMs?: number): Plan {
  const bytes = muranoPlan({ payload, stamp: 7, ...(startByMs === undefined ? {} : { startByMs }) });
  return JSON.parse(new TextDecoder().decode(bytes)) as Plan;
}

/** Lays the files down as murano-agent does, and starts one script. */
function start(plan: Plan, name: string, storage: string, id: string = plan.ID) {
  const script = plan.Scripts[name] ?? assert.fail(name);
  const place = path.join(storage, 'files', id, name);
  mkdirSync(place, { recursive: true });
  for (const file of [...script.Files, script.EntryPoint]) {
    const { Name, BodyType, Body } = plan.Files[file] ?? assert.fail(file);
    assert.equal(BodyType, 'Text');
    writeFileSync(path.join(place, Name), Body);
  }
  const child = spawn('/bin/sh', ['-c', `chmod 0500 "${name}.sh" && ./"${name}.sh" `], { cwd: place, detached: true });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
  child.stderr.setEncoding('utf8').on('data', (more: string) => (text += more));
  const ended = new Promise<number>((resolve) => {
    child.once('close', (exitCode) => resolve(exitCode ?? -1));
  });
  const told = async (): Promise<Told> => {
    const exitCode = await ended;
    return read(text, exitCode);
  };
  /** As if the agent's whole unit were killed; what has a session of its own goes on. */
  const kill = (): boolean => process.kill(-(child.pid ?? 0), 'SIGKILL');
  return { kill, told };
}

function read(text: string, exitCode: number): Told {
  const [line = '', ...rest] = text.trim().split('\n');
  const [, outcome = '', code, since, , bytes] = /^torcello (\w+) (\d+) (\d+) (\d+) (\d+)$/.exec(line) ?? [];
  assert.notEqual(outcome, '', text);
  const output = Buffer.from(rest.join(''), 'base64').toString();
  return { outcome, code: Number(code), startedAt: Number(since), bytes: Number(bytes), output, exitCode };
}

const run = (plan: Plan, name: string, storage: string, id?: string): Promise<Told> =>
  start(plan, name, storage, id).told();

async function untilThere(file: string): Promise<void> {
  for (let tries = 0; !existsSync(file); tries += 1) {
    if (tries > 1_200) throw new Error(`${file} did not come`);
    await sleep(systemClock, 50);
  }
}

let storages = 0;
const newStorage = (): string => {
  storages += 1;
  const storage = path.join(folder.path, `storage-${storages}`);
  mkdirSync(storage);
  return storage;
};

test('has everything that the checklist of the format asks for', () => {
  const plan = planOf(payloadOf([stepOf({ script: 'true' }), stepOf({ name: 'two "é"', command: ['true'] })]));
  assert.deepEqual([plan.FormatVersion, plan.Stamp, plan.ID.length], ['2.0.0', 7, 32]);
  assert.deepEqual(Object.keys(plan.Scripts), ['step1', 'step2']);
  for (const script of Object.values(plan.Scripts)) {
    assert.equal(script.Type, 'Application');
    assert.deepEqual(script.Options, { captureStdout: true, captureStderr: true, verifyExitcode: false });
    for (const file of [script.EntryPoint, ...script.Files]) {
      assert.ok(plan.Files[file] !== undefined, file);
      // They lie beside each other in the real agent's folder.
      assert.equal(plan.Scripts[file], undefined, file);
    }
  }
  assert.match(plan.Body, /for name, run in \[\("work", step1\), \("two \\"\\u00e9\\"", step2\)\]:/);
  assert.deepEqual(plan.Options, {});
  const empty = planOf(payloadOf([]));
  assert.deepEqual([empty.Scripts, empty.Files], [{}, {}]);
});

test('ids and Stamps', () => {
  const [environment, machine] = ['A'.repeat(32), 'b'.repeat(32)];
  const queue = muranoQueueName(environment, machine);
  assert.equal(queue, `e${'a'.repeat(32)}-h${'b'.repeat(32)}`);
  assert.deepEqual([isMuranoQueue(queue), isMuranoQueue('agent.mbox.1')], [true, false]);
  assert.equal(muranoPlanId(machine, 1), machine);
  assert.deepEqual(readMuranoPlanId(muranoPlanId(machine, 3)), { planId: machine, nth: 3 });
  for (const foreign of ['x', `${machine}-0`, `${machine}-`, null, 7, {}])
    assert.equal(readMuranoPlanId(foreign), undefined);
  assert.equal(nextStamp(1_795_355_639_285.7, 0), 17_953_556_392_850);
  assert.equal(nextStamp(5, 17_953_556_392_850), 17_953_556_392_851);
});

test('lays files, binary too, runs the words in the folder of the application, and tells output and exit code', async () => {
  const storage = newStorage();
  const bytes = Uint8Array.from([0, 255, 10, 128]);
  const plan = planOf(
    payloadOf([
      stepOf({
        files: [
          { path: 'deep/it.bin', mode: 0o640, body: base64(bytes) },
          { path: "it's", mode: 0o644, body: base64('') },
        ],
      }),
      stepOf({
        script:
          'echo "$GREETING $TORCELLO_STEP $TORCELLO_ENVIRONMENT"; printf "\\377"; read line || echo "no input"; exit 7',
        env: { GREETING: "it's" },
      }),
      stepOf({ files: [{ path: 'deep/it.bin', mode: 0, body: '', remove: true }] }),
    ]),
  );
  const app = path.join(storage, 'torcello', 'applications', 'shop-svc');
  assert.equal((await run(plan, 'step1', storage)).outcome, 'succeeded');
  assert.deepEqual(new Uint8Array(readFileSync(path.join(app, 'deep/it.bin'))), bytes);
  assert.equal(statSync(path.join(app, 'deep/it.bin')).mode & 0o777, 0o640);
  const told = await run(plan, 'step2', storage);
  assert.deepEqual([told.outcome, told.code, told.exitCode, told.bytes], ['failed', 7, 1, 25]);
  assert.match(told.output, /^it's work shop\n.no input\n$/s);
  assert.equal((await run(plan, 'step3', storage)).outcome, 'succeeded');
  assert.deepEqual(readdirSync(app).toSorted(), ["it's", 'run.sh']);
});

test('sent again under another ID it tells what was done, and does nothing twice', async () => {
  const storage = newStorage();
  const plan = planOf(payloadOf([stepOf({ script: 'echo once >> count; exit 3' })]));
  const first = await run(plan, 'step1', storage);
  rmSync(path.join(storage, 'files'), { recursive: true });
  assert.deepEqual(await run(plan, 'step1', storage, 'another'), first);
  assert.equal(readFileSync(path.join(storage, 'torcello/applications/shop-svc/count'), 'utf8'), 'once\n');
});

test('a step outlives the agent that began it, and the next one waits for it', async () => {
  const storage = newStorage();
  const [mark, release] = [path.join(folder.path, 'mark'), path.join(folder.path, 'release')];
  const script = `echo x >> '${mark}'; until [ -f '${release}' ]; do sleep 0.1; done; echo over`;
  const plan = planOf(payloadOf([stepOf({ script })]));
  const first = start(plan, 'step1', storage);
  await untilThere(mark);
  first.kill();
  const second = start(plan, 'step1', storage, 'another');
  writeFileSync(release, '');
  const told = await second.told();
  assert.deepEqual([told.outcome, told.output], ['succeeded', 'over\n']);
  assert.equal(readFileSync(mark, 'utf8'), 'x\n');
});

const interrupted = `echo run >> runs; if [ $(wc -l < runs) = 1 ]; then echo $PPID > leader; kill -9 $PPID $(ps -o ppid= -p $PPID) $$; fi`;

test('a step whose processes vanished ends by its policy', async () => {
  for (const [changes, outcome, runs] of [
    [{ onInterrupt: 'fail' }, 'interrupted', 1],
    [{ onInterrupt: 'rerun' }, 'succeeded', 2],
    [{ onInterrupt: 'check', check: ['sh', '-c', 'exit 0'] }, 'succeeded', 1],
    [{ onInterrupt: 'check', check: ['false'] }, 'succeeded', 2],
  ] as const) {
    const plan = planOf(payloadOf([stepOf({ script: interrupted, ...changes })]));
    const storage = newStorage();
    const told = await run(plan, 'step1', storage);
    assert.equal(told.outcome, outcome, JSON.stringify(changes));
    const lines = readFileSync(path.join(storage, 'torcello/applications/shop-svc/runs'), 'utf8').trim().split('\n');
    assert.equal(lines.length, runs, JSON.stringify(changes));
  }
});

test('what takes too long is ended with all its processes', async () => {
  const storage = newStorage();
  const plan = planOf(payloadOf([stepOf({ script: 'sleep 600 & sleep 600', timeoutMs: 1_000 })]));
  const told = await run(plan, 'step1', storage);
  assert.deepEqual([told.outcome, told.code], ['timedOut', 124]);
});

test('a plan that comes too late is not begun, one that was begun goes on', async () => {
  const storage = newStorage();
  const payload = payloadOf([stepOf({ script: 'echo hello' })]);
  const late = planOf(payload, systemClock.now() - 10_000);
  assert.equal((await run(late, 'step1', storage)).outcome, 'expired');
  assert.equal(existsSync(path.join(storage, 'torcello/applications/shop-svc/run.sh')), false);
  assert.equal((await run(planOf(payload, systemClock.now() + 600_000), 'step1', storage)).outcome, 'succeeded');
  assert.equal((await run(late, 'step1', storage)).outcome, 'succeeded');
});

test('after the restart that a step asked for, the plan sent again goes on', async () => {
  const storage = newStorage();
  const plan = planOf(payloadOf([stepOf({ script: 'exit 194' })]));
  const state = path.join(storage, 'torcello', 'plans', plan.ID);
  const waiting = start(plan, 'step1', storage);
  await untilThere(path.join(state, '1.1.exit'));
  waiting.kill();
  writeFileSync(path.join(state, '1.began'), '1 another-boot\n');
  assert.equal((await run(plan, 'step1', storage)).outcome, 'succeeded');
});

test('the end of a long output is kept, and its length told', async () => {
  const storage = newStorage();
  const plan = planOf(
    payloadOf([stepOf({ command: ['sh', '-c', 'head -c 200000 /dev/zero | tr "\\0" a; echo end'] })]),
  );
  const told = await run(plan, 'step1', storage);
  assert.deepEqual([told.bytes, told.output.length, told.output.endsWith('aend\n')], [200_004, 65_536, true]);
});

test('a program that stays does not hold up the plan', async () => {
  const storage = newStorage();
  const plan = planOf(payloadOf([stepOf({ script: 'sleep 60 & echo $! > pid' })]));
  assert.equal((await run(plan, 'step1', storage)).outcome, 'succeeded');
  process.kill(Number(readFileSync(path.join(storage, 'torcello/applications/shop-svc/pid'), 'utf8')));
});
