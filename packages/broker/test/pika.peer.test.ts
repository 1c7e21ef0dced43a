import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { testBroker } from './support/test-broker.js';

const python = '/usr/bin/python3';
const script = fileURLToPath(new URL('./python/pika_peer.py', import.meta.url));

function missingPika(): string | false {
  try {
    execFileSync(python, ['-c', 'import pika'], { stdio: 'ignore' });
    return false;
  } catch {
    return `${python} has no pika (apt-get install python3-pika)`;
  }
}

test('pika publishes, consumes, and gets the errors that it expects', { skip: missingPika() }, async (t) => {
  const { port } = await testBroker(t);
  const { stdout } = await promisify(execFile)(python, [script, String(port)]);
  assert.deepEqual(JSON.parse(stdout), {
    returned: 312,
    body: 'first',
    headers: { n: 5, list: [1, 'two'] },
    redelivered: false,
    again: true,
    inequivalent: 406,
    missing: 404,
    deleted: 0,
  });
});
