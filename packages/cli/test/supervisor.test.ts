import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { sleep, systemClock } from '@torcello/platform';
import { run } from '@torcello/test-support';
import type { ReadyLine } from '../src/supervisor/ready-line.js';
import { SupervisedChild, type ChildEvent, type ChildLimits } from '../src/supervisor/supervised-child.js';
import { Supervisor } from '../src/supervisor/supervisor.js';
import { temporaryFolder } from './support.js';

/** Serves until SIGTERM; tells its pid and what it was called with. */
const steady = `
  const hold = setInterval(() => undefined, 60000);
  process.on('SIGTERM', () => { process.stderr.write('ended in order\\n'); clearInterval(hold); });
  process.stdout.write('noise\\n' + JSON.stringify({ ready: true, pid: process.pid, port: process.argv[2] }) + '\\n');
`;
/** Says why not and gives up. */
const refusing = `process.stderr.write('{"message":"port 1 is in use","error":{"message":"EADDRINUSE"}}\\n'); process.exitCode = 1;`;
/** Does not listen to SIGTERM. */
const deaf = `
  process.on('SIGTERM', () => undefined);
  setInterval(() => undefined, 60000);
  process.stdout.write(JSON.stringify({ ready: true, pid: process.pid }) + '\\n');
`;

interface Bench extends AsyncDisposable {
  readonly child: SupervisedChild;
  readonly events: ChildEvent[];
  readonly logFile: string;
  /** Resolves with the next event of this type that was not waited for yet. */
  next<Type extends ChildEvent['type']>(type: Type): Promise<Extract<ChildEvent, { type: Type }>>;
}

async function bench(source: string, limits: Partial<ChildLimits> = {}): Promise<Bench> {
  const folder = await temporaryFolder();
  const script = path.join(folder.path, 'program.mjs');
  await writeFile(script, source);
  const events: ChildEvent[] = [];
  let taken = 0;
  let wake: () => void = () => undefined;
  const logFile = path.join(folder.path, 'program.log');
  const child = new SupervisedChild({
    name: 'program',
    program: (last) => ({ script, args: [portOf(last)], env: {} }),
    logFile,
    clock: systemClock,
    limits: { backOffMinMs: 5, backOffMaxMs: 40, ...limits },
    onEvent: (event) => {
      events.push(event);
      wake();
    },
  });
  return {
    child,
    events,
    logFile,
    next: async (type) => {
      while (true) {
        while (taken < events.length) {
          const event = events[taken];
          taken += 1;
          if (event?.type === type) return event as Extract<ChildEvent, { type: typeof type }>;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await child.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function portOf(last: ReadyLine | undefined): string {
  return last === undefined ? 'first' : `again after ${String(last['port'])}`;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('a child that is killed starts again, and is told what it said before', async () => {
  await using world = await bench(steady);
  const line = await world.child.start();
  assert.equal(line['port'], 'first');
  await world.next('ready');
  process.kill(Number(line['pid']), 'SIGKILL');
  assert.equal((await world.next('died')).how, 'SIGKILL');
  const again = await world.next('ready');
  assert.equal(again.line['port'], 'again after first');
  assert.notEqual(again.line['pid'], line['pid']);
});

test('stop ends the child in order and nothing starts it again', async () => {
  await using world = await bench(steady);
  const line = await world.child.start();
  await world.child.stop();
  await world.child.stop();
  assert.equal(isRunning(Number(line['pid'])), false);
  assert.deepEqual(
    world.events.map(({ type }) => type),
    ['started', 'ready'],
  );
  assert.equal(await readFile(world.logFile, 'utf8'), 'ended in order\n');
});

test('a child that gives up before it was ready fails the start with what it said', async () => {
  await using world = await bench(refusing);
  await assert.rejects(world.child.start(), {
    code: 'child_failed',
    message: 'program: port 1 is in use: EADDRINUSE',
  });
  assert.equal(world.events.filter(({ type }) => type === 'started').length, 1);
});

test('the line of a program that refuses is told without its own name before it', async () => {
  await using world = await bench(
    `process.stderr.write('torcello-api: the data folder is newer\\n'); process.exitCode = 1;`,
  );
  await assert.rejects(world.child.start(), { message: 'program: the data folder is newer' });
});

/** Starts the child that its arguments name, tells its pid, and stays. */
const parent = `
  import { systemClock } from '@torcello/platform';
  import { SupervisedChild } from ${JSON.stringify(new URL('../src/supervisor/supervised-child.ts', import.meta.url).href)};
  const [script, logFile] = process.argv.slice(1);
  const program = () => ({ script, args: [], env: {} });
  const child = new SupervisedChild({ name: 'program', program, logFile, clock: systemClock });
  process.stdout.write(JSON.stringify(await child.start()) + '\\n');
`;

test('a child whose parent is killed with -9 ends in order by itself', async () => {
  await using folder = await temporaryFolder();
  const [script, log] = [path.join(folder.path, 'program.mjs'), path.join(folder.path, 'program.log')];
  await writeFile(script, steady);
  const flags = ['--import', 'tsx', '--conditions=source', '--input-type=module', '--eval', parent];
  const running = run(process.execPath, [...flags, script, log], { cwd: import.meta.dirname });
  const { pid } = JSON.parse(await running.line((text) => text.startsWith('{"ready"'))) as { pid: number };
  assert.equal(isRunning(pid), true);
  await running.stop('SIGKILL');
  const deadlineMs = systemClock.monotonicMs() + 5_000;
  while (isRunning(pid) && systemClock.monotonicMs() < deadlineMs) await sleep(systemClock, 20);
  assert.equal(isRunning(pid), false);
  assert.equal(await readFile(log, 'utf8'), 'ended in order\n');
});

test('a child that is killed before it was ready is started again', async () => {
  const killedOnce = `
    import { existsSync, writeFileSync } from 'node:fs';
    const mark = import.meta.filename + '.mark';
    if (existsSync(mark)) process.stdout.write('{"ready":true}\\n');
    else { writeFileSync(mark, ''); process.kill(process.pid, 'SIGKILL'); }
    setInterval(() => undefined, 60000);
  `;
  await using world = await bench(killedOnce);
  assert.equal((await world.child.start()).ready, true);
  assert.equal(world.events.filter(({ type }) => type === 'started').length, 2);
});

test('a child that does not find whom it needs is started again', async () => {
  const early = `
    import { existsSync, writeFileSync } from 'node:fs';
    const mark = import.meta.filename + '.mark';
    if (existsSync(mark)) { setInterval(() => undefined, 60000); process.stdout.write('{"ready":true}\\n'); }
    else { writeFileSync(mark, ''); process.exitCode = 4; }
  `;
  await using world = await bench(early);
  assert.equal((await world.child.start()).ready, true);
  assert.equal((await world.next('died')).how, 'exit code 4');
});

test('a child that does not listen is killed after its time', async () => {
  await using world = await bench(deaf, { stopMs: 50 });
  const line = await world.child.start();
  await world.child.stop();
  assert.equal(isRunning(Number(line['pid'])), false);
});

test('a child that never gets ready is ended and fails the start', async () => {
  await using world = await bench('setInterval(() => undefined, 60000);', { readyMs: 200 });
  await assert.rejects(world.child.start(), {
    code: 'child_failed',
    message: 'program: it ended before it was ready (not ready after 200 ms)',
  });
});

test('the pause before a restart doubles up to its longest', async () => {
  const dying = `process.stdout.write('{"ready":true}\\n', () => process.exit(7));`;
  await using world = await bench(dying);
  await world.child.start();
  const pauses: number[] = [];
  for (let count = 0; count < 5; count += 1) pauses.push((await world.next('died')).restartInMs);
  assert.deepEqual(pauses, [5, 10, 20, 40, 40]);
});

test('a supervisor ends its children in the opposite order', async () => {
  await using folder = await temporaryFolder();
  const log = path.join(folder.path, 'order.log');
  const script = path.join(folder.path, 'program.mjs');
  await writeFile(
    script,
    `import { appendFileSync } from 'node:fs';
     const hold = setInterval(() => undefined, 60000);
     process.on('SIGTERM', () => { appendFileSync(${JSON.stringify(log)}, process.argv[2] + '\\n'); clearInterval(hold); });
     process.stdout.write('{"ready":true}\\n');`,
  );
  const supervisor = new Supervisor();
  for (const name of ['broker', 'api', 'conductor']) {
    const logFile = path.join(folder.path, `${name}.log`);
    await supervisor.start({ name, program: () => ({ script, args: [name], env: {} }), logFile, clock: systemClock });
  }
  await supervisor.stop();
  assert.equal(await readFile(log, 'utf8'), 'conductor\napi\nbroker\n');
});
