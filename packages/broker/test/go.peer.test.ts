import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { run, temporaryFolder } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';
import { rabbitMqLimits } from '../src/rabbitmq-limits.js';
import { testBroker } from './support/test-broker.js';

const library = '/usr/share/gocode/src/github.com/rabbitmq/amqp091-go';
const skip =
  existsSync(library) && existsSync('/usr/bin/go')
    ? false
    : 'SKIPPED LOUDLY: Go and its AMQP library are not installed';
const program = fileURLToPath(new URL('./go/peer.go', import.meta.url));

const cache = temporaryFolder('broker-go');
after(() => cache.remove());

function go(t: TestContext, args: readonly string[], more: Readonly<Record<string, string>> = {}): Running {
  const env = { GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: cache.path, GOFLAGS: '-p=1', ...more };
  const peer = run('/usr/bin/go', args, { env });
  t.after(() => peer.stop('SIGKILL'));
  return peer;
}

test(
  "Go's amqp091-go goes through its life: declare, confirm, return, consume, reject, an error, and back",
  { skip },
  async (t) => {
    const { url, broker } = await testBroker(t);
    const peer = go(t, ['run', program, url]);
    const { code } = await peer.exited;
    assert.equal(code, 0, peer.output().stderr);
    assert.match(peer.output().stdout, /^done$/m);
    const queue = broker.vhosts.get('/')?.queues.get('go');
    assert.deepEqual([queue?.readyCount, queue?.unsettledCount], [0, 0]);
  },
);

/** Passed when this was written, the examples that need a server of their own left out. */
const suiteTestsMin = 100;

test("the suite of Go's amqp091-go passes, but for its look at goroutines", { skip }, async (t) => {
  const { url } = await testBroker(t, { limits: rabbitMqLimits, permits: ['transient_nonexcl_queues', 'global_qos'] });
  const suite = 'github.com/rabbitmq/amqp091-go';
  const peer = go(t, ['test', '-v', '-tags', 'integration', '-run', '^Test', suite], { AMQP_URL: url });
  await peer.exited;
  const { stdout, stderr } = peer.output();
  assert.deepEqual(stdout.match(/^ *--- FAIL.*$/gm), null, stdout.slice(-4_000));
  const passed = stdout.match(/^--- PASS/gm)?.length ?? 0;
  assert.ok(passed >= suiteTestsMin, `${passed} tests passed: ${stderr.slice(-2_000)}`);
});
