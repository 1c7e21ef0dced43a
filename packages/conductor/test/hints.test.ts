import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tasksMailbox } from '@torcello/contracts';
import { mailboxes } from '@torcello/messaging';
import { World } from './support/world.js';

const order = { id: 'd1', example: 'hello-web', machines: { web: 1 } } as const;
const flaws = { '{"deploymentId":': 'not_json', '\u0000': 'not_json', null: 'schema', '{"deploymentId":7}': 'schema' };

test('what is no hint is tried five times and put aside, and what is behind it is taken', async () => {
  await using world = await World.start();
  for (const [n, body] of Object.keys(flaws).entries()) await world.api.mishint(`no-hint-${n}`, body);
  await world.api.mishint('too-long', JSON.stringify({ deploymentId: 'd1', more: 'x'.repeat(70_000) }));
  await world.conductor('one', 2);
  await world.deploy(order);
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'the one behind');
  await world.until(() => world.api.buried.size === 5, 'all are put aside');
  for (const id of world.api.buried) assert.equal(world.api.attempts.get(id), 5, id);
  const reasons = new Set(
    world.api.seen.flatMap(({ request }) => (request['reason'] === undefined ? [] : [request['reason']])),
  );
  assert.deepEqual([...reasons], ['not_json', 'schema', 'too_large']);
  assert.equal(await mailboxes(world.apiTransport).take(tasksMailbox), undefined);
});

test('a hint that somebody had before is counted before it is read, and forgotten when it was handled', async () => {
  await using world = await World.start();
  const steps: string[] = [];
  world.api.before = (method, request) =>
    void steps.push('stage' in request ? `${method} ${request['stage'] as string}` : method);
  world.onPoint = ({ point }) => point === 'reading' && steps.push('reading');
  await world.api.hint('d1');
  await readAndDie(world);
  await world.conductor('one');
  await world.until(() => steps.includes('attempt succeeded'), 'handled');
  assert.deepEqual(steps.slice(0, 4), ['attempt begins', 'reading', 'claim', 'attempt succeeded']);
  assert.equal(world.api.attempts.size, 0);
});

test('one that its readers died of is settled unread', async () => {
  await using world = await World.start();
  world.api.attempts.set('deadly', 5);
  await world.api.mishint('deadly', '{"deploymentId":"d1"}');
  await readAndDie(world);
  await world.conductor('one');
  await world.until(() => world.api.buried.has('deadly'), 'put aside');
  await world.pass(1_000);
  assert.ok(!world.points.some(({ point }) => point === 'reading'), 'nobody read it');
  assert.equal(await mailboxes(world.apiTransport).take(tasksMailbox), undefined);
});

test('without anybody who counts, what is no hint goes, and hints are handled', async () => {
  await using world = await World.start();
  world.api.before = (method) => {
    if (method === 'attempt') throw new Error('this API cannot count');
  };
  await world.api.hint('d1');
  await readAndDie(world);
  await world.api.mishint('no-hint', '{');
  await world.conductor('one');
  await world.until(() => world.api.counts()['claim'] === 1, 'the hint');
  await world.until(() => world.api.seen.some(({ request }) => request['stage'] === 'failed'), 'no hint');
  await world.pass(120_000);
  assert.equal(await mailboxes(world.apiTransport).take(tasksMailbox), undefined);
});

test('a conductor that stops in the middle of an attempt gives the hint back, and the attempt was none', async () => {
  await using world = await World.start();
  await world.api.hint('d1');
  await readAndDie(world);
  world.api.before = (method) => (method === 'claim' ? new Promise(() => undefined) : undefined);
  const { conductor } = await world.conductor('one');
  await world.until(() => world.api.counts()['claim'] === 1, 'the claim hangs');
  const stopping = conductor.stop();
  await world.until(() => world.api.seen.some(({ request }) => request['stage'] === 'givenBack'), 'given back');
  await stopping;
  assert.equal(world.api.attempts.get('hint-1'), 0);
  const letter = await mailboxes(world.apiTransport).take(tasksMailbox);
  assert.equal(letter?.id, 'hint-1');
});

/** Somebody has the letter in hand, and goes. */
async function readAndDie(world: World): Promise<void> {
  const letter = await mailboxes(world.apiTransport).take(tasksMailbox);
  assert.ok(letter !== undefined, 'there is one');
  letter.release();
}
