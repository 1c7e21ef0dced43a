import assert from 'node:assert/strict';
import { access, readFile, stat, symlink, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { deploymentId, planIdOf } from './support/control.js';
import { Fixture } from './support/fixture.js';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

test('a plan that lay in the mailbox before the agent started is carried out and told', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await control.plan(1, [
    { name: 'files', files: [{ path: 'conf/a.txt', mode: 0o640, body: base64('hello\n') }] },
    {
      name: 'run',
      files: [{ path: 'start.sh', mode: 0o700, body: base64('#!/bin/sh\necho "$1 $GREETING $TORCELLO_STEP"\n') }],
      command: ['./start.sh', 'one'],
      env: { GREETING: 'two' },
    },
    { name: 'look', command: ['cat', 'conf/a.txt'] },
  ]);
  await fixture.startAgent();
  const result = await control.result(1);
  assert.equal(result.outcome, 'succeeded');
  assert.deepEqual(
    result.steps.map(({ name, outcome, exitCode }) => [name, outcome, exitCode]),
    [
      ['files', 'succeeded', null],
      ['run', 'succeeded', 0],
      ['look', 'succeeded', 0],
    ],
  );
  assert.equal(await control.wholeOutput(1, 'run'), 'one two run\n');
  assert.equal(await control.wholeOutput(1, 'look'), 'hello\n');
  assert.equal((await stat(fixture.application('conf/a.txt'))).mode & 0o777, 0o640);
  const told = control.progress.map(({ what, step, sequence }) => [sequence, what, step]);
  assert.deepEqual(told, [
    [0, 'received', undefined],
    [1, 'stepStarted', 'files'],
    [2, 'stepEnded', 'files'],
    [3, 'stepStarted', 'run'],
    [4, 'stepEnded', 'run'],
    [5, 'stepStarted', 'look'],
    [6, 'stepEnded', 'look'],
  ]);
  assert.equal((await control.boxes.inspect('agent.mbox.' + '5e'.repeat(16))).messages, 0);
});

test('a step that fails ends the plan and says how', async () => {
  await using fixture = await Fixture.make();
  await fixture.startAgent();
  await fixture.control.plan(1, [
    { name: 'bad', command: ['sh', '-c', 'echo broken >&2; exit 3'] },
    { name: 'never', command: ['touch', fixture.ledger] },
  ]);
  const result = await fixture.control.result(1);
  assert.equal(result.outcome, 'failed');
  assert.equal(result.reason, 'step "bad" ended with exit code 3');
  assert.equal(result.steps.length, 1);
  assert.equal(await fixture.control.wholeOutput(1, 'bad'), 'broken\n');
  assert.equal(await exists(fixture.ledger), false);
});

test('a program that is not there, and words of the shell, fail as programs do', async () => {
  await using fixture = await Fixture.make();
  await fixture.startAgent();
  await fixture.control.plan(1, [{ name: 'a', command: ['no-such-program'] }]);
  assert.equal((await fixture.control.result(1)).steps[0]?.exitCode, 127);
  await fixture.control.plan(2, [{ name: 'a', command: ['exit', '0'] }]);
  assert.equal((await fixture.control.result(2)).steps[0]?.exitCode, 127);
});

test('a service that a step leaves running stays, and the step ends although it inherited the output', async () => {
  await using fixture = await Fixture.make();
  await fixture.startAgent();
  await fixture.control.plan(1, [{ name: 'start', command: ['sh', '-c', `sleep 60 & echo $! > ${fixture.ledger}`] }]);
  assert.equal((await fixture.control.result(1)).outcome, 'succeeded');
  const pid = Number(await readFile(fixture.ledger, 'utf8'));
  process.kill(pid, 0);
  process.kill(pid, 'SIGKILL');
});

test('a step over its time is ended with all of its processes', async () => {
  await using fixture = await Fixture.make();
  await fixture.startAgent();
  const script = `sleep 60 & echo $! > ${fixture.ledger}; sleep 60`;
  await fixture.control.plan(1, [{ name: 'slow', command: ['sh', '-c', script], timeoutMs: 300 }]);
  const result = await fixture.control.result(1);
  assert.equal(result.outcome, 'failed');
  assert.equal(result.steps[0]?.outcome, 'timedOut');
  const pid = Number(await readFile(fixture.ledger, 'utf8'));
  const left = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone Z');
  assert.match(left, / Z|gone/);
});

test('files stay inside the folder of the application', async () => {
  await using fixture = await Fixture.make();
  await fixture.startAgent();
  await fixture.control.plan(1, [{ name: 'climb', files: [{ path: '../../x', mode: 0o600, body: '' }] }]);
  const climbed = await fixture.control.result(1);
  assert.equal(climbed.outcome, 'failed');
  assert.match(climbed.reason ?? '', /outside of the application's folder/);
  assert.match(await fixture.control.wholeOutput(1, 'climb'), /outside/);
  await mkdir(fixture.application(), { recursive: true });
  await symlink(fixture.folder, fixture.application('link'));
  await fixture.control.plan(2, [{ name: 'link', files: [{ path: 'link/x', mode: 0o600, body: '' }] }]);
  assert.match((await fixture.control.result(2)).reason ?? '', /symbolic link/);
  assert.equal(await exists(path.join(fixture.folder, 'x')), false);
});

test('a destroy takes the files and the empty folder away', async () => {
  await using fixture = await Fixture.make();
  await fixture.startAgent();
  const { control } = fixture;
  await control.plan(1, [{ files: [{ path: 'a/b', mode: 0o600, body: '' }] }]);
  await control.result(1);
  assert.equal(await exists(fixture.application('a/b')), true);
  const { headerOf, payloadOf } = await import('./support/control.js');
  const planId = planIdOf(2);
  const steps = [{ files: [{ path: 'a/b', mode: 0o600, body: '', remove: true }] }];
  const payload = payloadOf(steps, { planId, action: 'destroy' });
  await control.put(control.keys.seal(headerOf(control.keys, { planId }), payload));
  assert.equal((await control.result(2)).outcome, 'succeeded');
  assert.equal(await exists(fixture.application()), false);
});

test('a letter that comes again is answered from the journal and run once', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const agent = await fixture.startAgent();
  const letter = await control.plan(1, [{ command: ['sh', '-c', `echo ran >> ${fixture.ledger}`] }]);
  await control.result(1);
  await control.put(letter);
  await control.until('the second answer', () => control.results.length >= 2);
  await control.receipt(planIdOf(1));
  await agent.stop();
  await fixture.startAgent();
  await control.put(letter);
  await control.until('the third answer', () => control.results.length >= 3);
  assert.equal(await readFile(fixture.ledger, 'utf8'), 'ran\n');
});

test('plans run one at a time, in the order of the mailbox', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  for (const number of [1, 2, 3]) {
    const script = `echo start${number} >> ${fixture.ledger}; sleep 0.1; echo end${number} >> ${fixture.ledger}`;
    await control.plan(number, [{ command: ['sh', '-c', script] }]);
  }
  await fixture.startAgent();
  await control.result(3);
  assert.equal(await readFile(fixture.ledger, 'utf8'), 'start1\nend1\nstart2\nend2\nstart3\nend3\n');
});

test('a plan of an older epoch for the same stage is fenced off, one of another stage is not', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent();
  await control.plan(1, [], { epoch: 2 });
  await control.plan(2, [{ command: ['touch', fixture.ledger] }], { epoch: 1 });
  const fenced = await control.result(2);
  assert.equal(fenced.outcome, 'refused');
  assert.match(fenced.reason ?? '', /epoch/);
  assert.equal(await exists(fixture.ledger), false);
  const { headerOf, payloadOf } = await import('./support/control.js');
  const planId = planIdOf(3);
  const other = payloadOf([], { planId, stage: 'svc/db' });
  await control.put(control.keys.seal(headerOf(control.keys, { planId, epoch: 1 }), other));
  assert.equal((await control.result(3)).outcome, 'succeeded');
});

test('a plan that comes too late, or for another agent of the machine, is answered and not run', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent();
  await control.plan(1, [{ command: ['touch', fixture.ledger] }], { startByMs: 1 });
  assert.equal((await control.result(1)).outcome, 'expired');
  await control.plan(2, [{ command: ['touch', fixture.ledger] }], { enrolment: 2 });
  assert.equal((await control.result(2)).outcome, 'refused');
  assert.equal(await exists(fixture.ledger), false);
});

test('when result and output are with the control plane, the traces of a plan go', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent();
  await control.plan(1, [{ name: 'talk', command: ['echo', 'hello'] }]);
  await control.result(1);
  await control.wholeOutput(1, 'talk');
  const traces = path.join(fixture.dataFolder, 'runs', planIdOf(1));
  assert.equal(await exists(traces), true);
  await control.receipt(planIdOf(1));
  const deadline = AbortSignal.timeout(10_000);
  while (await exists(traces)) {
    deadline.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
});

test('heartbeats tell what the agent does', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent({ heartbeatMs: 50 });
  await control.plan(1, [
    { command: ['sh', '-c', `while [ ! -e ${fixture.ledger} ] && [ -e ${fixture.folder} ]; do sleep 0.05; done`] },
  ]);
  await control.plan(2, []);
  const busy = await control.until('a busy heartbeat', () =>
    control.heartbeats.find(({ runningPlan, waitingPlans }) => runningPlan === planIdOf(1) && waitingPlans === 1),
  );
  assert.equal(busy.machineId, 'a1'.repeat(16));
  const { writeFile } = await import('node:fs/promises');
  await writeFile(fixture.ledger, '');
  await control.result(2);
  assert.equal((await control.result(2)).deploymentId, deploymentId);
});
