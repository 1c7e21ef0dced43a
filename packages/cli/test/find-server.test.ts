import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { findServer } from '../src/client/find-server.js';
import { temporaryFolder } from './support.js';

test('address and token come from the environment, else from the data folder, else the default', async () => {
  await using folder = await temporaryFolder();
  const world = { cwd: folder.path, env: {} };
  const nowhere = await findServer(world, {});
  assert.equal(nowhere.url, 'http://127.0.0.1:8082');
  assert.equal(nowhere.token, undefined);

  const data = path.join(folder.path, 'torcello-data');
  await mkdir(data);
  await writeFile(
    path.join(data, 'address.json'),
    '{"api":"http://127.0.0.1:9999","transport":"rabbit://127.0.0.1/","pid":1}\n',
  );
  await writeFile(path.join(data, 'admin-token'), 'abc\n');
  const fromFolder = await findServer(world, {});
  assert.deepEqual([fromFolder.url, fromFolder.token], ['http://127.0.0.1:9999', 'abc']);
  const named = await findServer({ cwd: '/', env: {} }, { data });
  assert.equal(named.token, 'abc');

  const env = { TORCELLO_URL: 'http://127.0.0.1:1/', TORCELLO_TOKEN: 'xyz' };
  const fromEnvironment = await findServer({ cwd: folder.path, env }, {});
  assert.deepEqual([fromEnvironment.url, fromEnvironment.token], ['http://127.0.0.1:1', 'xyz']);
});
