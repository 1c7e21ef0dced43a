import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, torcello } from './support.js';

const description = {
  torcelloContract: 1,
  topic: 'calc',
  exchange: 'openstack',
  namespace: null,
  version: '1.0',
  methods: { add: { cast: false, args: { type: 'object' }, result: { type: 'number' }, progress: null, errors: {} } },
  notifications: {},
};

async function files(contents: Readonly<Record<string, unknown>>): Promise<(name: string) => string> {
  const folder = (await temporaryFolder()).path;
  for (const [name, content] of Object.entries(contents)) {
    await writeFile(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return (name) => path.join(folder, name);
}

test('contract diff fails when a change breaks programs of the old contract, and names it', async () => {
  const at = await files({ 'old.json': description, 'new.json': { ...description, methods: {} } });
  const broken = await torcello(['contract', 'diff', at('old.json'), at('new.json')]);
  assert.equal(broken.exitCode, 2);
  assert.match(broken.stdout, /BREAKS {2}methods\.add: the method is gone\n1 of 1 break\./);
  const added = await torcello(['contract', 'diff', at('new.json'), at('old.json'), '--json']);
  assert.equal(added.exitCode, 0);
  const changes = [{ path: 'methods.add', isBreaking: false, what: 'the method is new' }];
  assert.deepEqual(JSON.parse(added.stdout), { isBreaking: false, changes });
  const same = await torcello(['contract', 'diff', at('old.json'), at('old.json')]);
  assert.deepEqual([same.exitCode, same.stdout], [0, 'Nothing changed.\n']);
});

test('contract diff refuses what is no description', async () => {
  const at = await files({ 'old.json': description, 'no.json': {}, 'broken.json': '{' });
  for (const name of ['no.json', 'broken.json', 'absent.json']) {
    const refused = await torcello(['contract', 'diff', at('old.json'), at(name)]);
    assert.equal(refused.exitCode, 1, name);
    assert.match(refused.stderr, new RegExp(name));
  }
});
