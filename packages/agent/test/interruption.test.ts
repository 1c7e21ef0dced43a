import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { PlanStep } from '@torcello/contracts/agent';
import { Journal } from '../src/journal.js';
import { encodeRecord } from '../src/journal-format.js';
import { markedInGroup } from '../src/processes.js';
import { deploymentId, planIdOf } from './support/control.js';
import { Fixture } from './support/fixture.js';

/** Looks until it is so: what another process does leaves no signal here. */
async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = AbortSignal.timeout(20_000);
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (deadline.aborted) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const textOf = (file: string): Promise<string | undefined> => readFile(file, 'utf8').catch(() => undefined);

/** A step that writes into the ledger when it starts and ends, and waits for a file in between. */
function waitingStep(fixture: Fixture, changes: Partial<PlanStep> = {}): Partial<PlanStep> {
  const { ledger } = fixture;
  const script = `echo start >> ${ledger}; echo before; while [ ! -e ${ledger}.go ] && [ -e ${ledger} ]; do sleep 0.02; done; echo after; echo end >> ${ledger}`;
  return { name: 'wait', command: ['sh', '-c', script], ...changes };
}

const started = (fixture: Fixture): Promise<string> =>
  eventually('the step', async () => {
    const text = await textOf(fixture.ledger);
    return text === '' ? undefined : text;
  });

/** Ends the running step with its wrapper, as a reboot or the kernel's want of memory would. */
async function killStep(fixture: Fixture, attempt: number = 1): Promise<void> {
  const claim = path.join(fixture.dataFolder, 'runs', planIdOf(1), '0', `${attempt}.claim`);
  const pid = await eventually('the claim', async () => {
    const text = await textOf(claim);
    return text?.includes('end') === true ? Number.parseInt(text, 10) : undefined;
  });
  process.kill(-pid, 'SIGKILL');
  await eventually('the end of the group', async () => {
    const left = await markedInGroup(pid, `TORCELLO_PLAN=${planIdOf(1)}`);
    return left.length === 0 ? true : undefined;
  });
}

test('a step that runs when the agent is stopped is adopted by the next agent', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const first = await fixture.startAgent();
  await control.plan(1, [
    waitingStep(fixture),
    { name: 'next', command: ['sh', '-c', `echo next >> ${fixture.ledger}`] },
  ]);
  await started(fixture);
  await first.stop();
  assert.ok(!process.getActiveResourcesInfo().includes('ProcessWrap'), 'a running step keeps no process alive');
  await fixture.startAgent();
  await writeFile(`${fixture.ledger}.go`, '');
  const result = await control.result(1);
  assert.equal(result.outcome, 'succeeded');
  assert.equal(await textOf(fixture.ledger), 'start\nend\nnext\n');
  assert.equal(await control.wholeOutput(1, 'wait'), 'before\nafter\n');
});

test('a step that ended while no agent was there keeps its exit status and its instant', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const first = await fixture.startAgent();
  await control.plan(1, [{ name: 'wait', command: ['sh', '-c', `echo >> ${fixture.ledger}; sleep 0.2; exit 7`] }]);
  await started(fixture);
  await first.stop();
  const status = path.join(fixture.dataFolder, 'runs', planIdOf(1), '0', '1.status');
  await eventually('the status', () => textOf(status));
  const before = Date.now();
  await fixture.startAgent();
  const result = await control.result(1);
  assert.equal(result.steps[0]?.exitCode, 7);
  assert.ok((result.steps[0]?.finishedAtMs ?? Infinity) <= before);
});

test('an adopted step is ended when its time is up, counted from its own start', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const first = await fixture.startAgent();
  await control.plan(1, [waitingStep(fixture, { timeoutMs: 1_000 })]);
  await started(fixture);
  await first.stop();
  await fixture.startAgent();
  const result = await control.result(1);
  assert.equal(result.steps[0]?.outcome, 'timedOut');
  assert.equal(await textOf(fixture.ledger), 'start\n');
});

for (const boot of ['the same boot', 'another boot'] as const) {
  const next = boot === 'the same boot' ? 'one' : 'two';

  test(`${boot}, the processes are gone, policy fail: interrupted, and never run again`, async () => {
    await using fixture = await Fixture.make();
    const first = await fixture.startAgent({}, 'one');
    await fixture.control.plan(1, [waitingStep(fixture)]);
    await started(fixture);
    await first.stop();
    await killStep(fixture);
    await fixture.startAgent({}, next);
    const result = await fixture.control.result(1);
    assert.equal(result.outcome, 'interrupted');
    assert.equal(result.steps[0]?.outcome, 'interrupted');
    assert.equal(await textOf(fixture.ledger), 'start\n');
  });

  test(`${boot}, the processes are gone, policy rerun: run again`, async () => {
    await using fixture = await Fixture.make();
    const first = await fixture.startAgent({}, 'one');
    await fixture.control.plan(1, [waitingStep(fixture, { onInterrupt: 'rerun' })]);
    await started(fixture);
    await first.stop();
    await killStep(fixture);
    await writeFile(`${fixture.ledger}.go`, '');
    await fixture.startAgent({}, next);
    const result = await fixture.control.result(1);
    assert.equal(result.outcome, 'succeeded');
    assert.equal(await textOf(fixture.ledger), 'start\nstart\nend\n');
    assert.equal(await fixture.control.wholeOutput(1, 'wait'), 'before\nbefore\nafter\n');
  });

  test(`${boot}, the processes are gone, policy check: the probe decides`, async () => {
    for (const isDone of [true, false]) {
      await using fixture = await Fixture.make();
      const first = await fixture.startAgent({}, 'one');
      const check = ['sh', '-c', `echo check >> ${fixture.ledger}; ${isDone ? 'exit 0' : 'exit 1'}`];
      await fixture.control.plan(1, [waitingStep(fixture, { onInterrupt: 'check', check })]);
      await started(fixture);
      await first.stop();
      await killStep(fixture);
      await writeFile(`${fixture.ledger}.go`, '');
      await fixture.startAgent({}, next);
      assert.equal((await fixture.control.result(1)).outcome, 'succeeded');
      assert.equal(await textOf(fixture.ledger), isDone ? 'start\ncheck\n' : 'start\ncheck\nstart\nend\n');
    }
  });
}

test('a wrapper that is killed under the agent that started it is an interruption as well', async () => {
  await using fixture = await Fixture.make();
  await fixture.startAgent();
  await fixture.control.plan(1, [waitingStep(fixture)]);
  await started(fixture);
  await killStep(fixture);
  assert.equal((await fixture.control.result(1)).outcome, 'interrupted');
});

test('traces of a plan that the journal does not know: it is not run', async () => {
  await using fixture = await Fixture.make();
  await mkdir(path.join(fixture.dataFolder, 'runs', planIdOf(1)), { recursive: true });
  await fixture.startAgent();
  await fixture.control.plan(1, [{ command: ['touch', fixture.ledger] }]);
  assert.equal((await fixture.control.result(1)).outcome, 'interrupted');
  assert.equal(await textOf(fixture.ledger), undefined);
});

test('a plan that the agent itself cannot carry on fails, and the next one runs', async () => {
  await using fixture = await Fixture.make();
  const { journal } = await Journal.open(path.join(fixture.dataFolder, 'journal'), {
    nowMs: 1,
    onFailure: (error) => assert.fail(String(error)),
  });
  const received = { planId: planIdOf(1), deploymentId, stage: 's', epoch: 1, digest: '', receivedAtMs: 1 };
  await journal.write({ type: 'received', ...received }, { attachment: Uint8Array.from([1, 2, 3]) });
  await journal.close();
  await fixture.startAgent();
  assert.equal((await fixture.control.result(1)).outcome, 'failed');
  await fixture.control.plan(2, []);
  assert.equal((await fixture.control.result(2)).outcome, 'succeeded');
});

test('a damaged journal ends what was open and says so with the heartbeat', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const first = await fixture.startAgent();
  await control.plan(1, [waitingStep(fixture)]);
  await started(fixture);
  await first.stop();
  await writeFile(`${fixture.ledger}.go`, '');
  const journal = path.join(fixture.dataFolder, 'journal', 'journal.log');
  const bytes = await readFile(journal);
  const end = Buffer.from('TJR2');
  const second = bytes.indexOf(end, 4);
  bytes[second + 26] = (bytes[second + 26] ?? 0) ^ 0xff;
  await writeFile(journal, Buffer.concat([bytes, goodRecord(3)]));
  await fixture.startAgent({ heartbeatMs: 50 });
  assert.equal((await control.result(1)).outcome, 'interrupted');
  await control.until('the notice', () =>
    control.heartbeats.find(({ notices }) => notices?.some(({ code }) => code === 'JOURNAL_DAMAGED')),
  );
  const files = await readdir(path.join(fixture.dataFolder, 'journal'));
  assert.equal(files.filter((name) => name.includes('damaged')).length, 1);
});

function goodRecord(sequence: number): Buffer {
  return encodeRecord(sequence, JSON.stringify({ type: 'lost', planId: planIdOf(9) }), new Uint8Array());
}
