import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hexId, systemRandom } from '@torcello/platform';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { FakeConductor } from './support/fake-conductor.js';
import { TestApi, deployShop } from './support/test-api.js';
import { Watcher } from './support/watcher.js';

async function watched(test: TestApi) {
  await test.attach();
  const shop = await deployShop(test);
  const base = await test.api.listen({ host: '127.0.0.1', port: 0 });
  const conductor = new FakeConductor(await test.connect());
  const path = `/v1/deployments/${shop.deployment}/events`;
  await eventually('the mailbox', () =>
    conductor.boxes.inspect(shop.machines[0]?.mailbox ?? '').then(
      () => true,
      () => false,
    ),
  );
  return { ...shop, base, path, conductor };
}

describe('a watch', () => {
  it('tells history, plans and reports as they happen, and ends with the deployment', async () => {
    await using test = await TestApi.open();
    const { base, path, conductor, deployment, machines } = await watched(test);
    const watcher = new Watcher(test, base, { path });
    await eventually('the first event', () => watcher.told.length > 0);
    await conductor.workOn(deployment);
    await eventually('the stored plan', () => watcher.told.some(({ data }) => data.state === 'stored'));
    const { notifier } = await import('@torcello/messaging');
    await notifier(await test.connect(), { publisherId: 'conductor.test', topics: ['torcello.report'] }).info(
      'torcello.report',
      { deploymentId: deployment, level: 'info', text: 'one plan stored', atMs: 1 },
    );
    await eventually('the report', () => watcher.names().includes('report'));
    const [plan] = (await test.call('GET', `/v1/deployments/${deployment}`)).body.plans;
    const agent = new FakeAgent(await test.connect(), machines[0]?.id ?? '');
    await agent.progress(deployment, plan.planId, { what: 'stepStarted', step: 'start', sequence: 1 });
    await eventually('the step', () => watcher.told.some(({ data }) => data.step === 'start'));
    await agent.result(deployment, plan.planId);
    await eventually('the result', () => watcher.told.some(({ data }) => data.state === 'succeeded'));
    await conductor.workOn(deployment);
    await watcher.over;
    const history = watcher.told.filter(({ event }) => event === 'history');
    assert.deepEqual(
      history.map(({ data }) => data.event.type),
      ['accepted', 'planScheduled', 'planStored', 'planEnded', 'finished'],
    );
    assert.deepEqual(
      history.map(({ id }) => id),
      ['0', '1', '2', '3', '4'],
    );
    const last = watcher.told.at(-1);
    assert.deepEqual([last?.event, last?.data.state], ['finished', 'succeeded']);
    await eventually('nobody watches', async () => (await test.call('GET', '/healthz')).body.watchers === 0);
    assert.equal(
      (await test.call('GET', `/v1/environments/shop/deployments/${deployment}`)).body.reports[0].text,
      'one plan stored',
    );
  });

  it('goes on behind the last event that the client has, with the plans as they are', async () => {
    await using test = await TestApi.open();
    const { base, path, conductor, deployment } = await watched(test);
    await conductor.workOn(deployment);
    const watcher = new Watcher(test, base, { path, lastId: '1' });
    await eventually('the rest', () => watcher.names().includes('history'));
    assert.equal(watcher.told[0]?.event, 'plan');
    assert.equal(watcher.told[0]?.data.state, 'stored');
    assert.deepEqual(
      watcher.told.filter(({ event }) => event === 'history').map(({ id }) => id),
      ['2'],
    );
    watcher.close();
    await watcher.over;
    await eventually('nobody watches', async () => (await test.call('GET', '/healthz')).body.watchers === 0);
  });

  it('of a finished deployment tells everything and ends', async () => {
    await using test = await TestApi.open();
    const { base, path, deployment, environment } = await watched(test);
    assert.equal((await test.call('DELETE', `/v1/environments/${environment}?abandon=True`)).status, 200);
    const watcher = new Watcher(test, base, { path });
    await watcher.over;
    assert.deepEqual(watcher.names(), ['history', 'history', 'finished']);
    assert.equal(watcher.told.at(-1)?.data.state, 'cancelled');
    assert.equal((await test.call('GET', `/v1/deployments/${deployment}`)).body.state, 'cancelled');
  });

  it('of a deployment that is not there is refused as a problem', async () => {
    await using test = await TestApi.open();
    const { status, headers, body } = await test.call('GET', `/v1/deployments/${hexId(systemRandom)}/events`, {
      headers: { accept: 'text/event-stream' },
    });
    assert.equal(status, 404);
    assert.match(String(headers['content-type']), /problem\+json/);
    assert.equal(body.code, 'not_found');
    assert.equal(body.cure, 'torcello deployment list');
  });

  it('ends when the API stops', async () => {
    const test = await TestApi.open();
    const { base, path } = await watched(test);
    const watcher = new Watcher(test, base, { path });
    await eventually('the first event', () => watcher.told.length > 0);
    await test[Symbol.asyncDispose]();
    await watcher.over;
  });
});

describe('following output', () => {
  it('tells every byte once, in order, over a cut and after the machine is gone', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const conductor = new FakeConductor(await test.connect());
    const { deployment } = await deployShop(test);
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(deployment);
    const [plan] = (await test.call('GET', `/v1/deployments/${deployment}`)).body.plans;
    const base = await test.api.listen({ host: '127.0.0.1', port: 0 });
    const path = `/v1/deployments/${deployment}/output?follow=1`;
    const bytesOf = (watcher: Watcher): string =>
      watcher.told
        .filter(({ event }) => event === 'chunk')
        .map(({ data }) => Buffer.from(data.data, 'base64').toString('latin1'))
        .join('');
    const agent = new FakeAgent(await test.connect(), plan.machine.id);
    const say = (offset: number, text: string) =>
      agent.output({ deploymentId: deployment, planId: plan.planId, step: 'start', offset }, text);
    const first = new Watcher(test, base, { path });
    await say(0, 'one ');
    await say(8, 'three ');
    await eventually('the first piece alone', () => bytesOf(first) === 'one ');
    await say(4, 'two ');
    await eventually('what waited for it', () => bytesOf(first) === 'one two three ');
    const lastId = first.told.at(-1)?.id;
    assert.ok(lastId !== undefined);
    first.close();
    await say(8, 'three');
    await say(8, 'three four ');
    const second = new Watcher(test, base, { path, lastId });
    await eventually('the longer piece', () => bytesOf(second).endsWith('four '));
    await test.call('DELETE', `/v1/machines/${plan.machine.id}`);
    await conductor.workOn(deployment);
    await second.over;
    assert.equal(second.names().at(-1), 'finished');
    const third = new Watcher(test, base, { path });
    await third.over;
    assert.equal(bytesOf(third), 'one two three four ');
  });
});
