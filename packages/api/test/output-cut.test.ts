import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { limits, outputHeaders } from '@torcello/contracts';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { apiLimits } from '../src/limits.js';
import { posted } from './support/posted.js';
import { TestApi } from './support/test-api.js';
import { Watcher } from './support/watcher.js';

const sha256 = createHash('sha256').update('all of it').digest('hex');

describe('output that is longer than is kept', () => {
  it('shows as one cut with length and digest, in the view and to followers, behind the last piece', async () => {
    await using test = await TestApi.open();
    const { deployment, plans, conductor } = await posted(test, 2);
    const [long, short] = plans;
    assert.ok(long && short);
    const base = await test.api.listen({ host: '127.0.0.1', port: 0 });
    const path = `/v1/deployments/${deployment}/output`;
    const agent = new FakeAgent(await test.connect(), long.machine.id);
    const other = new FakeAgent(await test.connect(), short.machine.id);
    const say = (offset: number, text: string) =>
      agent.output({ deploymentId: deployment, planId: long.planId, step: 'start', offset }, text);
    const end = (of: FakeAgent, planId: string, offset: number) =>
      of.send('output', new Uint8Array(), {
        [outputHeaders.deploymentId]: deployment,
        [outputHeaders.planId]: planId,
        [outputHeaders.step]: 'start',
        [outputHeaders.offset]: offset,
        [outputHeaders.last]: true,
        [outputHeaders.sha256]: sha256,
      });
    const first = new Watcher(test, base, { path: `${path}?follow=1` });
    await say(0, 'first ');
    await eventually('the first piece', () => first.told.length === 1);
    const written = limits.outputRunBytesMax.value + 17;
    // What is beyond the limit is dropped; the end of it all comes before a piece that was delayed.
    await say(13, 'third');
    await say(written - 3, 'far');
    await end(agent, long.planId, written);
    await eventually('the end', async () => (await test.call('GET', path)).body.outputs[0]?.cut !== undefined);
    assert.deepEqual(first.names(), ['chunk']);
    await say(6, 'second ');
    await eventually('the cut', () => first.names().includes('cut'));
    await other.output({ deploymentId: deployment, planId: short.planId, step: 'start', offset: 0 }, 'short');
    await end(other, short.planId, 5);
    await end(agent, long.planId, written);
    await eventually('the other machine', () => first.told.some(({ data }) => data.text === 'short'));
    assert.deepEqual(first.names(), ['chunk', 'chunk', 'chunk', 'cut', 'chunk']);
    assert.deepEqual(
      first.told.map(({ id }) => id !== undefined),
      [true, false, false, true, true],
    );
    const cut = first.told[3];
    assert.deepEqual(cut?.data, {
      planId: long.planId,
      machine: 'web-1',
      stage: long.stage,
      step: 'start',
      offset: 18,
      totalBytes: written,
      sha256,
    });
    const { outputs } = (await test.call('GET', path)).body;
    assert.deepEqual(
      outputs.map(({ text, isCut, cut: of }: { text: string; isCut: boolean; cut?: object }) => [text, isCut, of]),
      [
        ['first second third', true, { atBytes: 18, writtenBytes: written, sha256 }],
        ['short', false, undefined],
      ],
    );

    // Who was cut off behind it does not get it twice; who was cut off before gets it, with what belongs to it.
    first.close();
    for (const { planId, machine } of plans) {
      await new FakeAgent(await test.connect(), machine.id).result(deployment, planId);
    }
    await eventually('both results', async () =>
      (await test.view(deployment)).plans.every(({ state }: { state: string }) => state === 'succeeded'),
    );
    await conductor.workOn(deployment);
    const before = new Watcher(test, base, { path: `${path}?follow=1`, lastId: first.told[0]?.id ?? '' });
    const behind = new Watcher(test, base, { path: `${path}?follow=1`, lastId: cut?.id ?? '' });
    await Promise.all([before.over, behind.over]);
    assert.deepEqual(before.names(), ['chunk', 'chunk', 'cut', 'chunk', 'finished']);
    assert.deepEqual(behind.names(), ['chunk', 'finished']);
  });

  it('of many pieces is followed in order, also a step whose pieces come behind those of another', async () => {
    await using test = await TestApi.open();
    const { deployment, plans } = await posted(test, 1);
    const [plan] = plans;
    assert.ok(plan);
    const base = await test.api.listen({ host: '127.0.0.1', port: 0 });
    const agent = new FakeAgent(await test.connect(), plan.machine.id);
    const of = { deploymentId: deployment, planId: plan.planId };
    const pieces = 1_100;
    for (let offset = 0; offset < pieces; offset++) await agent.output({ ...of, step: 'start', offset }, 'x');
    await agent.output({ ...of, step: 'check', offset: 0 }, 'behind');
    const path = `/v1/deployments/${deployment}/output?follow=1`;
    const [all, one] = [new Watcher(test, base, { path }), new Watcher(test, base, { path: `${path}&step=check` })];
    await eventually('the piece behind', () => one.told.length === 1);
    await eventually('all pieces', () => all.told.length === pieces + 1);
    assert.deepEqual(
      all.told.map(({ data }) => data.offset),
      [...Array(pieces).keys(), 0],
    );
    assert.equal(one.told[0]?.data.text, 'behind');
    all.close();
    one.close();
  });

  it('is followed by so many at once, and one more is refused clearly', async () => {
    await using test = await TestApi.open();
    const { deployment } = await posted(test, 1);
    const base = await test.api.listen({ host: '127.0.0.1', port: 0 });
    const url = `${base}/v1/deployments/${deployment}/output?follow=1`;
    const headers = { 'x-auth-token': test.api.secrets.adminToken };
    const ending = new AbortController();
    const open = () => fetch(url, { headers, signal: ending.signal });
    const all = await Promise.all(Array.from({ length: apiLimits.outputWatchersMax.value }, open));
    assert.ok(all.every(({ status }) => status === 200));
    const refused = await fetch(url, { headers });
    const problem = (await refused.json()) as { code: string; detail: string; cure: string };
    assert.deepEqual([refused.status, problem.code], [503, 'overloaded']);
    assert.match(problem.detail, /^200 followers of output are there already \(outputWatchersMax\)$/);
    assert.match(problem.cure, /torcello logs/);
    ending.abort();
    await eventually('there is room again', async () => {
      const one = new AbortController();
      const { status } = await fetch(url, { headers, signal: one.signal });
      one.abort();
      return status === 200;
    });
  });
});
