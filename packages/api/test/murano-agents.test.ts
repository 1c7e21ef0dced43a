import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { muranoQueueName } from '@torcello/contracts';
import type { Delivery, Subscription, Transport } from '@torcello/messaging';
import { hexId, systemRandom } from '@torcello/platform';
import { agentConf, muranoUserData } from '../src/murano-agents/agent-conf.js';
import { readMuranoAnswer, resultOf } from '../src/murano-agents/answers.js';
import { eventually } from './support/eventually.js';
import { FakeConductor, scheduled } from './support/fake-conductor.js';
import { TestApi, packageZip } from './support/test-api.js';

interface Plan {
  readonly ID: string;
  readonly Stamp: number;
  readonly messageId: string | undefined;
  readonly contentType: string | undefined;
}

/** Reads a queue as murano-agent does, and answers when it is told to. */
class FakeMuranoAgent {
  readonly plans: Plan[] = [];
  readonly #transport: Transport;
  readonly #machine: string;
  readonly #queue: string;
  #subscription: Subscription | undefined;

  constructor(transport: Transport, machine: { readonly id: string; readonly mailbox: string }) {
    this.#transport = transport;
    this.#machine = machine.id;
    this.#queue = machine.mailbox;
  }

  async start(): Promise<void> {
    this.#subscription = await this.#transport.consume(
      { queue: this.#queue },
      { credit: 1, onDelivery: (one) => this.#take(one) },
    );
  }

  async kill(): Promise<void> {
    await this.#subscription?.stop();
  }

  async answer(fields: object, messageId?: string): Promise<void> {
    await this.raw(JSON.stringify({ FormatVersion: '2.0.0', ID: 'x', ErrorCode: 0, ...fields }), messageId);
  }

  async raw(text: string, messageId?: string, machine: string = this.#machine): Promise<void> {
    await this.#transport.publish(
      { exchange: 'agents', routingKey: `${machine}.murano` },
      {
        body: new TextEncoder().encode(text),
        properties: { contentType: 'text/plain', ...(messageId === undefined ? {} : { messageId }) },
        headers: {},
        persistent: true,
        ifNobody: 'fail',
      },
    );
  }

  #take(delivery: Delivery): void {
    const { body, properties } = delivery.message;
    const plan = JSON.parse(new TextDecoder().decode(body)) as Plan;
    this.plans.push({ ...plan, messageId: properties.messageId, contentType: properties.contentType });
    delivery.accept();
  }
}

const done = (output = 'hello\n') => ({
  torcello: 1,
  steps: [
    {
      name: 'start',
      exitCode: 0,
      stdout: `torcello succeeded 0 1795355639 1795355640 ${output.length}\n${Buffer.from(output).toString('base64')}`,
      stderr: null,
    },
  ],
});

/** A deployment on one machine with a muranoagent, its plan in the queue. */
async function deployed(test: TestApi) {
  const transport = await test.attach();
  await test.call('POST', '/v1/catalog/packages', { body: packageZip() });
  const { body: environment } = await test.call('POST', '/v1/environments', { body: { name: 'shop' } });
  const made = await test.call('POST', `/v1/environments/${environment.id}/machines`, {
    body: { role: 'web', kind: 'muranoagent' },
  });
  const [machine] = made.body.machines as [
    { id: string; name: string; mailbox: string; kind: string; joinLine?: string },
  ];
  const { body: session } = await test.call('POST', `/v1/environments/${environment.id}/configure`);
  await test.call('POST', `/v1/environments/${environment.id}/services`, {
    body: { '?': { type: 'io.torcello.Web', id: 'web' } },
    headers: { 'x-configuration-session': session.id },
  });
  const answer = await test.call('POST', `/v1/environments/${environment.id}/sessions/${session.id}/deploy`);
  const deployment = String(answer.headers['x-torcello-deployment']);
  const isDeclared = async () => (await test.call('GET', `/v1/machines/${machine.id}`)).body.isMailboxDeclared === true;
  await eventually('the queue', isDeclared);
  const conductor = new FakeConductor(await test.connect());
  const claim = await eventually('a claim', async () => {
    const made = await conductor.claim(deployment);
    return made.claimed && made;
  });
  const stamp = 10;
  const entry = scheduled(
    hexId(systemRandom),
    machine.id,
    'web/web',
    JSON.stringify({ FormatVersion: '2.0.0', ID: 'x', Stamp: stamp, Body: 'return 1' }),
  );
  if (entry.event.type !== 'planScheduled') throw new TypeError('a plan was expected');
  const { planId } = entry.event.plan;
  await conductor.append({
    deploymentId: deployment,
    epoch: claim.epoch,
    expectedLength: claim.length,
    events: [entry],
  });
  const body = new TextEncoder().encode(JSON.stringify({ ID: planId, Stamp: stamp }));
  await conductor.boxes.put(machine.mailbox, { id: planId, body, contentType: 'text/plain' });
  const event = { type: 'planStored', planId, storedAtMs: test.clock.now() };
  await conductor.append({
    deploymentId: deployment,
    epoch: claim.epoch,
    expectedLength: claim.length + 1,
    events: [{ id: hexId(systemRandom), event }],
  });
  await conductor.release(deployment, claim.epoch, claim.length + 2);
  const agent = new FakeMuranoAgent(await test.connect(), machine);
  const plan = async () => (await test.view(deployment)).plans[0];
  return { transport, environment, machine, deployment, conductor, agent, planId, plan };
}

/** One look of the API at the queues. */
const look = (test: TestApi): Promise<void> => test.clock.advance(5_000);

describe('machines with a muranoagent', () => {
  it('have a queue in Murano’s naming with its arguments, and a configuration in the place of a join line', async () => {
    await using test = await TestApi.open({
      accounts: () => ({
        check: () => undefined,
        create: () => Promise.resolve('amqp://agent-1:secret@broker.example:5673/v'),
        remove: () => Promise.resolve(),
      }),
    });
    const { machine, environment, transport } = await deployed(test);
    assert.deepEqual(
      [machine.kind, machine.mailbox, machine.joinLine],
      ['muranoagent', muranoQueueName(environment.id, machine.id), undefined],
    );
    // The same terms as a real engine declares it with: anything else is refused.
    const foreignArguments = { 'x-ha-policy': 'all', 'x-expires': 86_400_000 };
    await transport.ensure(
      { kind: 'mailbox', source: { queue: machine.mailbox }, reachedBy: [], options: { foreignArguments } },
      { isRestored: false },
    );
    const conf = await test.call('GET', `/v1/machines/${machine.id}/agent-conf`);
    assert.match(
      conf.text,
      /^host = broker.example\nport = 5673\nlogin = agent-1\npassword = secret\nvirtual_host = v$/m,
    );
    assert.match(
      conf.text,
      new RegExp(
        `^input_queue = ${machine.mailbox}\nresult_exchange = agents\nresult_routing_key = ${machine.id}.murano$`,
        'm',
      ),
    );
    const data = await test.call('GET', `/v1/machines/${machine.id}/user-data`);
    assert.ok(data.text.startsWith('#cloud-config\n') && data.text.includes(JSON.stringify(conf.text)));
    assert.equal((await test.call('POST', `/v1/machines/${machine.id}/join-line`)).status, 400);
    const { body } = await test.call('POST', `/v1/environments/${environment.id}/machines`, { body: { role: 'web' } });
    assert.equal((await test.call('GET', `/v1/machines/${body.machines[0].id}/agent-conf`)).status, 400);
    assert.equal(
      (await test.call('POST', `/v1/environments/${environment.id}/machines`, { body: { role: 'web', kind: 'x' } }))
        .status,
      400,
    );
  });

  it('take a configuration with TLS, and none for a broker that their client cannot speak with', () => {
    const order = { machineId: 'a'.repeat(32), mailbox: 'q' };
    const conf = agentConf({ ...order, transportUrl: 'amqps://u:p@[::1]/?ssl_ca_file=/etc/ca.pem' });
    assert.match(conf, /^host = \[::1\]\nport = 5671\n.*\nvirtual_host = \/\nssl = True\nca_certs = \/etc\/ca.pem$/ms);
    assert.throws(() => agentConf({ ...order, transportUrl: 'amqp1://u:p@h/' }), { code: 'not_ready' });
    assert.match(muranoUserData('web-1', conf), /^packages: \[murano-agent\]$/m);
  });
});

describe('answers of a muranoagent', () => {
  it('end a plan once: doubles, late ones and what is no answer of this machine change nothing', async () => {
    await using test = await TestApi.open();
    const { agent, planId, plan, deployment, transport, machine } = await deployed(test);
    await agent.start();
    await eventually('the plan', () => agent.plans.length === 1);
    for (const [text, id, from] of [
      ['no json', planId, machine.id],
      ['[1]', planId, machine.id],
      [JSON.stringify({ SourceID: 'unknown', ErrorCode: 0, Body: null }), undefined, machine.id],
      [JSON.stringify({ SourceID: 'f'.repeat(32), ErrorCode: 0, Body: null }), undefined, machine.id],
      [JSON.stringify({ SourceID: planId, ErrorCode: 0, Body: null }), undefined, 'e'.repeat(32)],
    ] as const)
      await agent.raw(text, id, from);
    await agent.answer({ SourceID: planId, Body: done() });
    await agent.answer({ SourceID: planId, ErrorCode: 1, Body: { Message: 'late' } });
    await agent.answer({ SourceID: `${planId}-7`, ErrorCode: 1, Body: { Message: 'later' } });
    const ended = await eventually('the end', async () => (await plan()).state === 'succeeded' && (await plan()));
    assert.deepEqual(
      ended.steps.map((step: { name: string; state: string; exitCode: number }) => [
        step.name,
        step.state,
        step.exitCode,
      ]),
      [['start', 'succeeded', 0]],
    );
    const { body } = await test.call('GET', `/v1/deployments/${deployment}/output`);
    assert.deepEqual(
      body.outputs.map((output: { text: string; isCut: boolean }) => [output.text, output.isCut]),
      [['hello\n', false]],
    );
    await look(test);
    assert.equal((await plan()).state, 'succeeded');
    // A receipt in that queue would be an invalid plan, which the real agent answers for ever.
    assert.deepEqual(await transport.inspect({ queue: machine.mailbox }), { messages: 0, consumers: 1 });
    assert.equal(agent.plans.length, 1);
  });

  it('maps every error code', () => {
    const plan = { plan_id: 'p', deployment_id: 'd', delivered_at: null, stored_at: 5, scheduled_at: 4 } as never;
    const resultFor = (fields: object) => {
      const body = new TextEncoder().encode(JSON.stringify({ SourceID: 'a'.repeat(32), ...fields }));
      const message = { body, properties: {}, headers: {} };
      const destination = { exchange: 'agents', routingKey: `${'b'.repeat(32)}.murano` };
      const answer = readMuranoAnswer({ message, destination } as never);
      assert.ok(typeof answer !== 'string', JSON.stringify(answer));
      return resultOf(answer, plan, 1_000).result;
    };
    const error = { Message: 'it is so', AdditionalInfo: null };
    const failed = { exitCode: 3, stdout: 'out', stderr: 'err' };
    const step = (stdout: string, exitCode = 1) => ({ steps: [{ name: 's', exitCode, stdout, stderr: null }] });
    const table: readonly (readonly [object, string, RegExp])[] = [
      [{ ErrorCode: 0, Body: done() }, 'succeeded', /^$/],
      [{ ErrorCode: 0, Body: null }, 'succeeded', /^$/],
      [{ Body: 7 }, 'succeeded', /^$/],
      [{ ErrorCode: 0, Body: step('torcello failed 7 10 11 0') }, 'failed', /"s" ended with exit code 7/],
      [{ ErrorCode: 0, Body: step('torcello timedOut 124 10 11 0') }, 'failed', /took longer/],
      [{ ErrorCode: 0, Body: step('torcello interrupted 1 10 11 0') }, 'interrupted', /interrupted/],
      [{ ErrorCode: 0, Body: step('torcello expired 0 10 11 0') }, 'expired', /later than it may start/],
      [{ ErrorCode: 0, Body: step('sh: no base64', 127) }, 'failed', /exit code 127/],
      [{ ErrorCode: 1, Body: error }, 'failed', /^muranoagent answers error 1: it is so$/],
      [{ ErrorCode: 1, Body: null }, 'failed', /no message/],
      [{ ErrorCode: 2, Body: error }, 'refused', /error 2: it is so/],
      [{ ErrorCode: 3, Body: error }, 'refused', /error 3/],
      [{ ErrorCode: 9, Body: error }, 'refused', /error 9/],
      [{ ErrorCode: 100, Body: { Message: 'script', AdditionalInfo: failed } }, 'failed', /exit code 3, err/],
      [{ ErrorCode: 107, Body: error }, 'failed', /error 107/],
    ];
    for (const [fields, outcome, reason] of table) {
      const result = resultFor(fields);
      assert.equal(result.outcome, outcome, JSON.stringify(fields));
      assert.match(result.reason ?? '', reason);
    }
  });
});

describe('a lost answer', () => {
  it('of an agent that went away and came back: sent again under a new ID and a higher Stamp', async () => {
    await using test = await TestApi.open();
    const { agent, planId, plan } = await deployed(test);
    await agent.start();
    await eventually('the plan', () => agent.plans.length === 1);
    await look(test);
    assert.equal((await plan()).state, 'delivered');
    await agent.kill();
    await look(test);
    await agent.start();
    await look(test);
    const [first, second] = await eventually('another time', () => agent.plans.length === 2 && agent.plans);
    assert.deepEqual(
      [first?.ID, second?.ID, second?.messageId, second?.contentType],
      [planId, `${planId}-2`, `${planId}-2`, 'text/plain'],
    );
    assert.ok((second?.Stamp ?? 0) > (first?.Stamp ?? 0));
    await agent.answer({ SourceID: second?.ID, Body: done() });
    await eventually('the end', async () => (await plan()).state === 'succeeded');
    await test.clock.advance(600_000);
    assert.equal(agent.plans.length, 2);
  });

  it('by time alone, less and less often; never while the plan still waits in the queue', async () => {
    await using test = await TestApi.open();
    const { agent, planId } = await deployed(test);
    for (let minute = 0; minute < 10; minute += 1) await test.clock.advance(60_000);
    await agent.start();
    await eventually('the plan', () => agent.plans.length === 1);
    for (let times = 0; times < 80; times += 1) await look(test);
    const ids = agent.plans.map((one) => one.ID);
    assert.deepEqual(ids.slice(0, 3), [planId, `${planId}-2`, `${planId}-3`]);
    assert.ok(ids.length < 6, String(ids.length));
    assert.deepEqual(
      agent.plans.map(({ Stamp }) => Stamp),
      agent.plans.map(({ Stamp }) => Stamp).toSorted((a, b) => a - b),
    );
  });

  it('with its queue: the queue is made again, and the plan is sent again', async () => {
    await using test = await TestApi.open();
    const { agent, planId, transport, machine } = await deployed(test);
    await transport.delete({ queue: machine.mailbox });
    await look(test);
    await agent.start();
    await eventually('the plan', () => agent.plans[0]?.ID === `${planId}-2`);
  });

  it('is waited for over a restart of the API', async () => {
    const first = await TestApi.open();
    const { agent, planId, deployment } = await deployed(first);
    await agent.start();
    await eventually('the plan', () => agent.plans.length === 1);
    await look(first);
    await agent.answer({ SourceID: planId, Body: done() });
    await first.stop();
    await using test = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    await test.attach();
    await eventually('the end', async () => (await test.view(deployment)).plans[0].state === 'succeeded');
  });
});

describe('a cancel', () => {
  it('takes a plan out of the queue that its agent has not taken', async () => {
    await using test = await TestApi.open();
    const { agent, deployment, conductor, plan, transport, machine } = await deployed(test);
    await test.call('POST', `/v1/deployments/${deployment}/cancel`);
    await eventually('it is cancelled', async () => {
      if ((await test.view(deployment)).state === 'cancelled') return true;
      await conductor.workOn(deployment).catch(() => undefined);
      return false;
    });
    await look(test);
    assert.deepEqual([(await plan()).state, (await plan()).cancel], ['cancelled', 'neverStarted']);
    assert.equal((await transport.inspect({ queue: machine.mailbox })).messages, 0);
    await agent.start();
    await look(test);
    assert.equal(agent.plans.length, 0);
  });

  it('of a plan that its agent has: it settles by the answer', async () => {
    await using test = await TestApi.open();
    const { agent, deployment, conductor, plan, planId } = await deployed(test);
    await agent.start();
    await eventually('the plan', () => agent.plans.length === 1);
    await look(test);
    await test.call('POST', `/v1/deployments/${deployment}/cancel`);
    await eventually('it is cancelled', async () => {
      await conductor.workOn(deployment).catch(() => undefined);
      return (await test.view(deployment)).state === 'cancelled';
    });
    assert.equal((await plan()).cancel, 'unknown');
    await test.clock.advance(600_000);
    assert.equal(agent.plans.length, 1);
    await agent.answer({ SourceID: planId, Body: done() });
    await eventually('it settles', async () => (await plan()).cancel === 'finishedBefore');
  });
});
