import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { handshakeAddress, letterKindHeader } from '@torcello/contracts';
import { MessagingError, mailboxes, memoryDriver, postalTransport } from '@torcello/messaging';
import type { Driver, DriverConnection, Letter, Transport } from '@torcello/messaging';
import { faulty } from '@torcello/messaging/testing';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { FakeConductor } from './support/fake-conductor.js';
import { declared, enrol } from './support/posted.js';
import { TestApi, deployShop } from './support/test-api.js';

/** A transport as Proton's example broker is one: RPC goes over it, and nothing waits in it. */
const poorDriver = (): Driver => {
  const driver = faulty(memoryDriver(), { seed: 1, capabilities: { mailboxes: false, returns: false, routes: false } });
  const refusal = (what: string): MessagingError => new MessagingError('CAPABILITY_MISSING', `it cannot make ${what}`);
  return {
    schemes: driver.schemes,
    connect: async (url, options) => {
      const connection = await driver.connect(url, options);
      const ensure: DriverConnection['ensure'] = (topology, signal) => {
        const { kind, source, reachedBy, options: asked } = topology;
        const isElsewhere = reachedBy.some(({ target }) => target === undefined);
        if (kind === 'mailbox' || isElsewhere || asked.lengthMax !== undefined)
          return Promise.reject(refusal(source.queue));
        return connection.ensure(topology, signal);
      };
      return new Proxy(connection, { get: (of, name) => (name === 'ensure' ? ensure : Reflect.get(of, name)) });
    },
  };
};

const postal = async (test: TestApi, owner: string): Promise<Transport> =>
  postalTransport(await test.connect(), { address: handshakeAddress, owner });

const mailboxOf = async (test: TestApi, environment: string, at: number): Promise<string> =>
  (await test.call('GET', `/v1/environments/${environment}/machines`)).body.machines[at].mailbox;

async function shopByHandshake(test: TestApi) {
  await test.attach();
  const conductor = new FakeConductor(await postal(test, 'conductor'));
  const shop = await deployShop(test, { machines: 2 });
  const hinted = await eventually('a hint', () => conductor.takeHint());
  assert.equal(hinted, shop.deployment);
  await declared(test, shop.environment);
  await conductor.workOn(shop.deployment);
  const { plans } = await test.view(shop.deployment);
  return { ...shop, conductor, plans };
}

describe('a broker that keeps no mailboxes', () => {
  it('leaves the plans in the database, and the screen says so', async () => {
    await using test = await TestApi.open({ driver: poorDriver() });
    const { deployment, environment, plans } = await shopByHandshake(test);
    assert.deepEqual(
      plans.map((plan: { state: string; waitsIn: string; why: { code: string } }) => [
        plan.state,
        plan.waitsIn,
        plan.why.code,
      ]),
      [
        ['stored', 'database', 'waiting-handshake-never-joined'],
        ['stored', 'database', 'waiting-handshake-never-joined'],
      ],
    );
    const { body } = await test.call('GET', `/v1/why/${deployment}`);
    assert.match(
      body.why.text,
      /web-1 has never joined; the broker keeps no mailboxes, so the plan waits in the database/,
    );
    assert.equal((await test.call('GET', '/healthz', { token: null })).body.carrier, 'handshake');
    await enrol(test, environment, plans[0].machine.id);
    const agent = new FakeAgent(await postal(test, 'm0'), plans[0].machine.id);
    const alive = { agentVersion: '1', processStartedAtMs: 0, waitingPlans: 0, intervalMs: 10_000, atMs: 0 };
    await agent.send('heartbeat', { ...alive, machineId: plans[0].machine.id, enrolment: 1 });
    assert.equal((await test.view(deployment)).plans[0].why.code, 'waiting-handshake-call');
    await test.clock.advance(60_000);
    assert.equal((await test.view(deployment)).plans[0].why.code, 'waiting-handshake-offline');
  });

  it('calls an agent that runs with its plan, also after both API and broker were started again', async () => {
    const first = await TestApi.open({ driver: poorDriver() });
    const before = await shopByHandshake(first);
    await first.stop();
    await using test = await TestApi.open({ folder: first.folder, driver: poorDriver(), testClock: first.clock });
    await test.attach();
    const transport = await postal(test, 'm0');
    const letters = mailboxes(transport)
      .read(await mailboxOf(test, before.environment, 0))
      [Symbol.asyncIterator]();
    const { value: plan } = (await letters.next()) as { value: Letter };
    assert.equal(plan.headers[letterKindHeader], 'plan');
    assert.match(Buffer.from(plan.body).toString(), /^letter for /);
    assert.equal(plan.accept(), true);
    const agent = new FakeAgent(transport, before.plans[0].machine.id);
    await agent.result(before.deployment, before.plans[0].planId);
    // The promise says that the result is stored, not merely sent.
    assert.equal((await test.view(before.deployment)).plans[0].state, 'succeeded');
    const { value: receipt } = (await letters.next()) as { value: Letter };
    assert.equal(receipt.headers[letterKindHeader], 'receipt');
    receipt.accept();
    await letters.return?.();
  });

  it('refuses machines with a muranoagent, which reads a queue and knows no handshake', async () => {
    await using test = await TestApi.open({ driver: poorDriver() });
    await test.attach();
    const { body: environment } = await test.call('POST', '/v1/environments', { body: { name: 'shop' } });
    const url = `/v1/environments/${environment.id}/machines`;
    const refused = await test.call('POST', url, { body: { role: 'web', kind: 'muranoagent' } });
    assert.deepEqual([refused.status, refused.body.code], [400, 'invalid_request']);
    assert.equal((await test.call('POST', url, { body: { role: 'web' } })).status, 201);
  });

  it('refuses what comes under the name of another machine, as a broker with logins does later', async () => {
    await using test = await TestApi.open({ driver: poorDriver() });
    const { deployment, plans } = await shopByHandshake(test);
    const agent = new FakeAgent(await postal(test, 'm1'), plans[1].machine.id);
    await agent.result(deployment, plans[0].planId);
    assert.equal((await test.view(deployment)).plans[0].state, 'stored');
  });

  it('may be exchanged for one that does, and back: what waits in the database moves, machines keep their mailboxes', async () => {
    const first = await TestApi.open({ driver: poorDriver() });
    const { environment, plans, deployment } = await shopByHandshake(first);
    await first.stop();
    const rich = memoryDriver();
    const second = await TestApi.open({ folder: first.folder, driver: rich, testClock: first.clock });
    await second.attach();
    assert.equal((await second.view(deployment)).plans[0].waitsIn, 'mailbox');
    const boxes = mailboxes(await second.connect());
    const mailbox = await mailboxOf(second, environment, 0);
    const moved = await boxes.take(mailbox);
    assert.deepEqual([moved?.id, moved?.headers[letterKindHeader]], [plans[0].planId, 'plan']);
    moved?.accept();
    assert.equal(await boxes.take(mailbox), undefined);
    const { machines } = (
      await second.call('POST', `/v1/environments/${environment}/machines`, { body: { role: 'web', count: 1 } })
    ).body;
    await declared(second, environment);
    await second.stop();
    await using third = await TestApi.open({ folder: first.folder, driver: poorDriver(), testClock: first.clock });
    await third.attach();
    const sender = mailboxes(await postal(third, 'conductor'));
    await sender.put(machines[0].mailbox, { id: 'x', body: Buffer.from('x') });
    await sender.put(mailbox, { id: 'y', body: Buffer.from('y') });
  });

  it('is examined: the doctor names the carrier, what is missing, and the cure', async () => {
    await using test = await TestApi.open({ driver: poorDriver(), transportUrl: 'amqp1://127.0.0.1/' });
    const away = (await test.call('GET', '/v1/doctor')).body;
    assert.equal(away.transport.state, 'never reached');
    assert.equal(away.findings[0].level, 'failed');
    await test.attach();
    const { body } = await test.call('GET', '/v1/doctor');
    assert.equal(body.carrier, 'handshake');
    assert.deepEqual(body.missing, ['mailboxes', 'returns', 'routes']);
    assert.equal(body.transport.capabilities.mailboxes, false);
    assert.equal(body.transport.state, 'connected');
    assert.match(
      body.findings.find(({ check }: { check: string }) => check === 'carrier').text,
      /^handshake: .*mailboxes/,
    );
    assert.ok(body.findings.every(({ level, cure }: { level: string; cure?: string }) => level === 'ok' || cure));
  });
});
