import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { run, temporaryFolder } from '@torcello/test-support';
import { testBroker } from './support/test-broker.js';

const library = '/usr/share/gocode/src/github.com/rabbitmq/amqp091-go';
const skip =
  existsSync(library) && existsSync('/usr/bin/go')
    ? false
    : 'SKIPPED LOUDLY: Go and its AMQP library are not installed';
const program = fileURLToPath(new URL('./go/peer.go', import.meta.url));

test(
  "Go's amqp091-go goes through its life: declare, confirm, return, consume, reject, an error, and back",
  { skip },
  async (t) => {
    const { url, broker } = await testBroker(t);
    const cache = temporaryFolder('broker-go');
    t.after(() => cache.remove());
    const env = { GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: cache.path, GOFLAGS: '-p=1' };
    const peer = run('/usr/bin/go', ['run', program, url], { env });
    t.after(() => peer.stop('SIGKILL'));
    const { code } = await peer.exited;
    assert.equal(code, 0, peer.output().stderr);
    assert.match(peer.output().stdout, /^done$/m);
    const queue = broker.vhosts.get('/')?.queues.get('go');
    assert.deepEqual([queue?.readyCount, queue?.unsettledCount], [0, 0]);
  },
);
