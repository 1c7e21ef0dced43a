import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyDisk, MemoryStore, startBroker } from '../src/index.js';

const guest = { name: 'guest', password: 'guest' };

test('a login waits for the password of a user that is made in the background', async () => {
  const disk = emptyDisk();
  const broker = await startBroker({ store: new MemoryStore(disk), users: [guest], usersInBackground: true });
  assert.equal(broker.users.get('guest'), undefined, 'the hash is not there yet');
  assert.equal((await broker.users.login('guest', 'guest'))?.name, 'guest');
  await broker.stop();
  const again = await startBroker({ store: new MemoryStore(disk), users: [guest], usersInBackground: true });
  assert.equal((await again.users.login('guest', 'guest'))?.name, 'guest');
  await again.stop();
});

test('a password that was changed from outside counts from the start on, and the old one no longer', async () => {
  const disk = emptyDisk();
  const broker = await startBroker({ store: new MemoryStore(disk), users: [{ ...guest, password: 'old' }] });
  await broker.stop();
  const again = await startBroker({ store: new MemoryStore(disk), users: [guest], usersInBackground: true });
  const [old, changed] = await Promise.all([again.users.login('guest', 'old'), again.users.login('guest', 'guest')]);
  assert.deepEqual([old?.name, changed?.name], [undefined, 'guest']);
  await again.stop();
});

test('a broker that stops at once keeps the users that were being made', async () => {
  const disk = emptyDisk();
  const broker = await startBroker({ store: new MemoryStore(disk), users: [guest], usersInBackground: true });
  await broker.stop();
  assert.ok(disk.entities.has('user/guest'), [...disk.entities.keys()].join(' '));
});
