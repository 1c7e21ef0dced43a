import assert from 'node:assert/strict';
import { test } from 'node:test';
import { protonMissing, startProtonBroker } from '@torcello/test-support';
import { fakeApi, torcello } from './support.js';

const examination = {
  version: '0.1.0',
  node: 'v20.20.0',
  transport: {
    url: 'amqp1://127.0.0.1/',
    state: 'connected',
    capabilities: { mailboxes: false, keepsReplies: true, priorityMax: 0, messageSizeBytesMax: 1024 },
  },
  carrier: 'handshake',
  missing: ['mailboxes'],
  lettersWaiting: 0,
  agents: { online: 0, unknown: 0, lost: 0, 'never joined': 0 },
  findings: [
    { check: 'broker', level: 'ok', text: 'the broker is reached' },
    { check: 'joins', level: 'warning', text: 'agents cannot join', cure: 'allow it' },
  ],
};

test('tells what the API knows, its clock and version, and ends with 0 when nothing has failed', async () => {
  const route = (): unknown => ({ ...examination, now: new Date(Date.now() + 60_000).toISOString() });
  await using api = await fakeApi({ 'GET /v1/doctor': route });
  const people = await torcello(['doctor'], api);
  assert.equal(people.exitCode, 0, people.stderr);
  assert.match(people.stdout, /^ok {7}api/m);
  assert.match(people.stdout, /^warning {2}clock .* differs from this machine's by (59|60)\d{3} ms/m);
  assert.match(people.stdout, /^warning {2}joins {7}agents cannot join\n {21}try: allow it$/m);
  assert.match(people.stdout, /^the transport can {3}keepsReplies, messageSizeBytesMax 1024$/m);
  assert.match(people.stdout, /^the transport lacks mailboxes, priorityMax$/m);
  const machine = JSON.parse((await torcello(['doctor', '--json'], api)).stdout);
  assert.deepEqual([machine.carrier, machine.missing, machine.api.url], ['handshake', ['mailboxes'], api.url]);
  assert.ok(Math.abs(machine.clock.offsetMs - 60_000) <= machine.clock.uncertaintyMs + 1_000);
});

test('ends with 4 when the broker is away, and names the cure', async () => {
  const findings = [{ check: 'broker', level: 'failed', text: 'the broker is not reached', cure: 'start the broker' }];
  const route = (): unknown => ({ ...examination, findings, now: new Date().toISOString() });
  await using api = await fakeApi({ 'GET /v1/doctor': route });
  const { exitCode, stdout } = await torcello(['doctor'], api);
  assert.equal(exitCode, 4);
  assert.match(stdout, /^FAILED {3}broker {6}the broker is not reached\n {21}try: start the broker$/m);
});

const nowhere = { url: 'http://127.0.0.1:9' };

test('without an API it says so and ends with 4', async () => {
  const { exitCode, stdout } = await torcello(['doctor', '--json'], nowhere);
  assert.equal(exitCode, 4);
  const { api, carrier, findings } = JSON.parse(stdout);
  assert.deepEqual([api, carrier, findings.length], [null, null, 1]);
  assert.ok(findings[0].cure);
});

test('without an API it looks at the broker itself', { skip: protonMissing('c') ?? false }, async () => {
  const broker = await startProtonBroker('c');
  try {
    const there = JSON.parse((await torcello(['doctor', '--json', '--transport', broker.url], nowhere)).stdout);
    assert.deepEqual([there.transport.state, there.carrier], ['reached', 'handshake']);
    assert.deepEqual(there.missing, ['mailboxes', 'administers', 'returns', 'routes']);
    await broker.stop();
    const gone = JSON.parse((await torcello(['doctor', '--json', '--transport', broker.url], nowhere)).stdout);
    assert.equal(gone.transport.state, 'not reached');
    assert.equal(gone.findings[1].level, 'failed');
  } finally {
    await broker.stop();
  }
});
