import assert from 'node:assert/strict';
import { test } from 'node:test';
import { World } from './support/world.js';

test('a deployment of hello-web becomes three signed plans in three mailboxes, and is parked', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const model = await world.deploy({ id: 'd1', example: 'hello-web', machines: { web: 3 } });
  await world.until(() => world.api.row('d1').holder === undefined && world.api.events('d1').length === 7, 'parked');
  const types = world.api.events('d1').map(({ type }) => type);
  assert.deepEqual(types, ['accepted', ...Array(3).fill('planScheduled'), ...Array(3).fill('planStored')]);
  for (const machine of model.machines) {
    const letters = await world.plansIn(machine.mailbox);
    assert.equal(letters.length, 1);
    const [letter] = letters;
    assert.deepEqual(
      Buffer.from(letter?.body ?? []).toString('base64'),
      world.api.row('d1').letters.get(letter?.id ?? ''),
    );
  }
  assert.deepEqual(world.api.counts(), { claim: 1, load: 1, append: 2, release: 1 });
});
