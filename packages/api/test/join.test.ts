import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { parseJoinLine } from '@torcello/contracts';
import { managedAccounts, refusedAccounts } from '@torcello/api';
import { eventually } from './support/eventually.js';
import { FakeConductor } from './support/fake-conductor.js';
import { TestApi, deployShop } from './support/test-api.js';

const newKey = (): string =>
  generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();

function requestOf(joinLine: string, publicKey: string): Record<string, unknown> {
  const line = parseJoinLine(joinLine);
  return { machine: line?.machine, token: line?.token, publicKey, agentVersion: '0.1.0', hostname: 'host' };
}

async function oneMachine(test: TestApi) {
  const { body: environment } = await test.call('POST', '/v1/environments', { body: { name: 'lab' } });
  const { body } = await test.call('POST', `/v1/environments/${environment.id}/machines`, { body: { role: 'web' } });
  return body.machines[0] as { id: string; name: string; mailbox: string; joinLine: string; state: string };
}

const join = (test: TestApi, body: Record<string, unknown>) => test.call('POST', '/v1/join', { body, token: null });

describe('joining', () => {
  it('trades the token for mailbox and login, and gives the same key the same answer again', async () => {
    await using test = await TestApi.open();
    const machine = await oneMachine(test);
    assert.equal(machine.state, 'never joined');
    const request = requestOf(machine.joinLine, newKey());
    const first = await join(test, request);
    assert.equal(first.status, 200);
    assert.equal(first.body.mailbox, machine.mailbox);
    assert.equal(first.body.machineName, 'web-1');
    assert.equal(first.body.enrolment, 1);
    assert.deepEqual((await join(test, request)).body, first.body);
    const [agent] = (await test.call('GET', '/v1/agents')).body.agents;
    assert.equal(agent.hostname, 'host');
    assert.ok(agent.evidence.becomesUnknownAt);
  });

  it('refuses a used token to another key, and flags the machine', async () => {
    await using test = await TestApi.open();
    const machine = await oneMachine(test);
    await join(test, requestOf(machine.joinLine, newKey()));
    const thief = await join(test, requestOf(machine.joinLine, newKey()));
    assert.deepEqual([thief.status, thief.body.code], [409, 'token_used']);
    assert.equal((await test.call('GET', `/v1/machines/${machine.id}`)).body.isTokenContested, true);
  });

  it('refuses unknown tokens, wrong keys and shapeless bodies', async () => {
    await using test = await TestApi.open();
    const machine = await oneMachine(test);
    const good = requestOf(machine.joinLine, newKey());
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
      .publicKey.export({ type: 'spki', format: 'pem' })
      .toString();
    const table: readonly (readonly [Record<string, unknown>, number])[] = [
      [{ ...good, token: 'x'.repeat(43) }, 401],
      [{ ...good, machine: '0'.repeat(32) }, 401],
      [{ ...good, machine: "x' or 1=1" }, 400],
      [{ ...good, publicKey: 'no key' }, 400],
      [{ ...good, publicKey: rsa }, 400],
      [{ ...good, hostname: 'x'.repeat(300) }, 400],
      [{}, 400],
    ];
    for (const [body, status] of table)
      assert.equal((await join(test, body)).status, status, JSON.stringify(body).slice(0, 200));
    assert.equal((await join(test, { ...good, hostname: 'x'.repeat(20_000) })).status, 413);
    assert.equal((await join(test, good)).status, 200);
  });

  it('voids the old line when a new one is made; a second agent ends what waited for the first', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const { deployment, machines } = await deployShop(test);
    const [machine] = machines;
    assert.ok(machine);
    const conductor = new FakeConductor(await test.connect());
    await eventually('the mailbox', () =>
      conductor.boxes.inspect(machine.mailbox).then(
        () => true,
        () => false,
      ),
    );
    assert.equal((await join(test, requestOf(machine.joinLine, newKey()))).status, 200);
    await conductor.workOn(deployment);
    const { body } = await test.call('POST', `/v1/machines/${machine.id}/join-line`);
    assert.equal((await join(test, requestOf(machine.joinLine, newKey()))).status, 401);
    const second = await join(test, requestOf(body.joinLine, newKey()));
    assert.equal(second.body.enrolment, 2);
    const [plan] = (await test.call('GET', `/v1/deployments/${deployment}`)).body.plans;
    assert.match(plan.reason, /^unknown: machine replaced$/);
    assert.notEqual(plan.finishedAt, undefined);
  });

  it('without a login to give leaves the token usable', async () => {
    await using test = await TestApi.open({ accounts: () => refusedAccounts() });
    const machine = await oneMachine(test);
    const request = requestOf(machine.joinLine, newKey());
    const refused = await join(test, request);
    assert.deepEqual([refused.status, refused.body.code], [409, 'login_refused']);
    assert.match(refused.body.cure, /--allow-shared-agent-login/);
    assert.equal((await test.call('GET', `/v1/machines/${machine.id}`)).body.state, 'never joined');
  });

  it('waits for the plan signing key', async () => {
    const plans: { key: string | undefined } = { key: undefined };
    await using test = await TestApi.open({ planKey: () => plans.key });
    const machine = await oneMachine(test);
    const request = requestOf(machine.joinLine, newKey());
    assert.equal((await join(test, request)).body.code, 'not_ready');
    plans.key = newKey();
    assert.equal((await join(test, request)).body.planKey, plans.key);
  });
});

describe('a login of its own', () => {
  it('reads one mailbox and writes one routing-key prefix', async () => {
    const seen: { method: string; path: string; body: string; authorization: string }[] = [];
    const broker = http.createServer((request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => (body += part.toString()));
      request.on('end', () => {
        seen.push({
          method: request.method ?? '',
          path: request.url ?? '',
          body,
          authorization: request.headers.authorization ?? '',
        });
        response.writeHead(request.method === 'DELETE' ? 404 : 201).end();
      });
    });
    await new Promise<void>((resolve) => broker.listen(0, '127.0.0.1', resolve));
    const managementUrl = `http://127.0.0.1:${(broker.address() as AddressInfo).port}`;
    const urls = {
      transportUrl: 'amqp://me:pw%2F1@broker:5673/',
      agentTransportUrl: 'amqp://me:pw%2F1@outside:5673/?x=1',
    };
    await using test = await TestApi.open({
      accounts: (secrets) => managedAccounts({ managementUrl, ...urls, secrets }),
    });
    const machine = await oneMachine(test);
    const { body } = await join(test, requestOf(machine.joinLine, newKey()));
    assert.match(body.transportUrl, new RegExp(`^amqp://agent-${machine.id}:[A-Za-z0-9_-]{43}@outside:5673/\\?x=1$`));
    assert.ok(!body.transportUrl.includes('pw'));
    assert.equal(Buffer.from(seen[0]?.authorization.slice(6) ?? '', 'base64').toString(), 'me:pw/1');
    assert.deepEqual(
      seen.map(({ method, path }) => `${method} ${path}`),
      [
        `PUT /api/users/agent-${machine.id}`,
        `PUT /api/permissions/%2F/agent-${machine.id}`,
        `PUT /api/topic-permissions/%2F/agent-${machine.id}`,
        `PUT /api/user-limits/agent-${machine.id}/max-connections`,
        `PUT /api/user-limits/agent-${machine.id}/max-channels`,
      ],
    );
    assert.deepEqual(JSON.parse(seen[1]?.body ?? ''), {
      configure: '^$',
      write: '^agents$',
      read: `^${machine.mailbox.replaceAll('.', '\\.')}$`,
    });
    assert.deepEqual(JSON.parse(seen[2]?.body ?? ''), {
      exchange: 'agents',
      write: `^${machine.id}\\..*$`,
      read: '^$',
    });
    assert.deepEqual(
      seen.slice(3).map(({ body: limit }) => JSON.parse(limit) as unknown),
      [{ value: 8 }, { value: 32 }],
    );
    await new Promise((resolve) => broker.close(resolve));
    const request = requestOf(
      (await test.call('POST', `/v1/machines/${machine.id}/join-line`)).body.joinLine,
      newKey(),
    );
    assert.equal((await join(test, request)).status, 503);
  });
});
