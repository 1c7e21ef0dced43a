import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planIdOf } from './support/control.js';
import { eventually, textOf } from './support/eventually.js';
import { Fixture } from './support/fixture.js';

const outcomesOf = (fixture: Fixture): readonly string[] =>
  fixture.control.results.map(({ planId, outcome }) => `${Number.parseInt(planId, 16)} ${outcome}`);

const touch = (fixture: Fixture, word: string): { readonly command: readonly string[] } => ({
  command: ['sh', '-c', `echo ${word} >> ${fixture.ledger}`],
});

test('a newer plan in the mailbox takes the place of those that wait', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await control.plan(1, [touch(fixture, 'one')]);
  await control.plan(2, [touch(fixture, 'two')]);
  await control.plan(3, [touch(fixture, 'three')], { replaces: [planIdOf(1), planIdOf(2)] });
  await fixture.startAgent();
  await control.result(3);
  await control.result(2);
  assert.deepEqual(outcomesOf(fixture).toSorted(), ['1 superseded', '2 superseded', '3 succeeded']);
  assert.equal(control.results.find(({ planId }) => planId === planIdOf(1))?.startedAtMs, undefined);
  assert.equal(await textOf(fixture.ledger), 'three\n');
});

test('a plan that started runs on, and the newer one comes after it', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const first = await fixture.startAgent();
  const script = `echo one >> ${fixture.ledger}; while [ ! -e ${fixture.ledger}.go ] && [ -e ${fixture.folder} ]; do sleep 0.05; done`;
  await control.plan(1, [{ command: ['sh', '-c', script] }, touch(fixture, 'second step')]);
  await eventually('the step', () => textOf(fixture.ledger));
  await control.plan(2, [touch(fixture, 'two')], { replaces: [planIdOf(1)] });
  await control.until('the newer plan', () =>
    control.progress.find(({ planId, what }) => planId === planIdOf(2) && what === 'received'),
  );
  await first.stop();
  await fixture.startAgent();
  const { writeFile } = await import('node:fs/promises');
  await writeFile(`${fixture.ledger}.go`, '');
  await control.result(2);
  assert.deepEqual(outcomesOf(fixture), ['1 succeeded', '2 succeeded']);
  assert.equal(await textOf(fixture.ledger), 'one\nsecond step\ntwo\n');
});

test('a plan that comes after the one that replaced it is dropped, over restarts too', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const first = await fixture.startAgent();
  await control.plan(2, [touch(fixture, 'two')], { replaces: [planIdOf(1)] });
  await control.result(2);
  await first.stop();
  await fixture.startAgent();
  await control.plan(1, [touch(fixture, 'one')]);
  const dropped = await control.result(1);
  assert.equal(dropped.outcome, 'superseded');
  assert.equal(await textOf(fixture.ledger), 'two\n');
});

test('a holder that was fenced off replaces nothing', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent();
  await control.plan(1, [], { epoch: 2 });
  await control.result(1);
  await control.plan(2, [], { epoch: 1, replaces: [planIdOf(3)] });
  await control.plan(3, [touch(fixture, 'three')], { epoch: 2 });
  await control.result(3);
  assert.deepEqual(outcomesOf(fixture), ['1 succeeded', '2 refused', '3 succeeded']);
});
