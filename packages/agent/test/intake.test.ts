import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { letterKindHeader, type LetterKind } from '@torcello/contracts/agent';
import type { Letter } from '@torcello/messaging';
import { silentLogger, systemClock } from '@torcello/platform';
import { Intake } from '../src/intake.js';
import { Journal } from '../src/journal.js';
import { LetterOpener } from '../src/letters.js';
import { Notices } from '../src/notices.js';
import { ProgressSender } from '../src/progress.js';
import { ResultSender } from '../src/results.js';
import { ServerClock } from '../src/server-clock.js';
import { systemMachine } from '../src/step-machine.js';
import { PlanKeys, deploymentId, headerOf, machineId, mailbox, payloadOf, planIdOf } from './support/control.js';
import { temporaryFolder } from './support/folder.js';

const keys = new PlanKeys();

/** An intake over a real journal; what it would send goes nowhere. */
async function makeIntake(folder: string): Promise<{ readonly intake: Intake; readonly journal: Journal }> {
  const onFailure = (): void => undefined;
  const { journal } = await Journal.open(path.join(folder, 'journal'), { nowMs: 1, onFailure });
  const world = { clock: systemClock, logger: silentLogger, journal, uplink: () => Promise.resolve() };
  const facts = {
    ...world,
    opener: new LetterOpener({ machineId, mailbox, planKey: keys.publicPem }),
    enrolment: 1,
    results: new ResultSender(world),
    progress: new ProgressSender(world),
    notices: new Notices(systemClock),
    machine: systemMachine,
    runsFolder: path.join(folder, 'runs'),
    serverClock: new ServerClock(systemClock, undefined),
    onPlan: () => undefined,
    onEnding: () => undefined,
    onReceipt: () => undefined,
  };
  const intake = new Intake(facts, new AbortController().signal);
  return { intake, journal };
}

type Settled = 'accepted' | 'released' | 'rejected';

function letterOf(body: Uint8Array, kind: LetterKind, onSettled: (how: Settled) => void): Letter {
  const settle = (how: Settled) => (): boolean => {
    onSettled(how);
    return true;
  };
  return {
    id: 'x',
    body,
    contentType: '',
    headers: { [letterKindHeader]: kind },
    redelivered: false,
    destination: { exchange: '', routingKey: mailbox },
    userId: undefined,
    accept: settle('accepted'),
    release: settle('released'),
    reject: settle('rejected'),
    report: () => Promise.resolve(),
  };
}

test('a plan is in the journal before the broker forgets its letter', async () => {
  await using folder = await temporaryFolder();
  const { intake, journal } = await makeIntake(folder.path);
  let wasKnown: boolean | undefined;
  const letter = keys.seal(headerOf(keys), payloadOf([]));
  await intake.take(letterOf(letter, 'plan', () => (wasKnown ??= journal.book.plan(planIdOf(1)) !== undefined)));
  assert.equal(wasKnown, true);
  await journal.close();
});

test('a receipt is in the journal before the broker forgets its letter', async () => {
  await using folder = await temporaryFolder();
  const { intake, journal } = await makeIntake(folder.path);
  const planId = planIdOf(1);
  await journal.write({ type: 'received', planId, deploymentId, stage: 's', epoch: 1, digest: '', receivedAtMs: 1 });
  const result = { deploymentId, planId, outcome: 'succeeded', receivedAtMs: 1, finishedAtMs: 2, steps: [] } as const;
  await journal.write({ type: 'finished', planId, result });
  let receiptAtMs: number | undefined;
  const receipt = new TextEncoder().encode(JSON.stringify({ planId }));
  await intake.take(
    letterOf(receipt, 'receipt', () => (receiptAtMs ??= journal.book.plan(planId)?.receiptAtMs ?? Number.NaN)),
  );
  assert.ok((receiptAtMs ?? Number.NaN) > 0);
  await journal.close();
});

test('when the journal cannot be written the letter stays with the broker', async () => {
  await using folder = await temporaryFolder();
  const { intake, journal } = await makeIntake(folder.path);
  await journal.close();
  const settled: Settled[] = [];
  const letter = keys.seal(headerOf(keys), payloadOf([]));
  await assert.rejects(intake.take(letterOf(letter, 'plan', (how) => settled.push(how))));
  assert.deepEqual(settled, []);
});

test('a receipt for a plan that is not finished, or not known, changes nothing', async () => {
  await using folder = await temporaryFolder();
  const { intake, journal } = await makeIntake(folder.path);
  const planId = planIdOf(1);
  await intake.take(letterOf(keys.seal(headerOf(keys), payloadOf([])), 'plan', () => undefined));
  for (const id of [planId, planIdOf(2)]) {
    const receipt = new TextEncoder().encode(JSON.stringify({ planId: id }));
    await intake.take(letterOf(receipt, 'receipt', (how) => assert.equal(how, 'accepted')));
  }
  assert.equal(journal.book.plan(planId)?.receiptAtMs, undefined);
  assert.equal(journal.book.plan(planIdOf(2)), undefined);
  assert.equal(journal.book.isLost(planIdOf(2)), false);
  await journal.close();
});
