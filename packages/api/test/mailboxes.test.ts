import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { letterKindHeader } from '@torcello/contracts';
import { notificationListener } from '@torcello/messaging';
import type { Notification } from '@torcello/messaging';
import type { Clock, Service } from '@torcello/platform';
import { SimulatedClock } from '@torcello/platform/testing';
import { openStore } from '../src/database/store.js';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { scheduled } from './support/fake-conductor.js';
import { enrol, posted } from './support/posted.js';
import { TestApi } from './support/test-api.js';
import type { Answer } from './support/test-api.js';

const lifetimeMs = 60_000;
const timings = { mailboxLifetimeMs: lifetimeMs, mailboxSettleMs: 5_000 };

const heartbeat = (test: TestApi, machineId: string) => ({
  machineId,
  enrolment: 1,
  agentVersion: '1',
  processStartedAtMs: 0,
  waitingPlans: 0,
  intervalMs: 10_000,
  atMs: test.clock.now(),
});

async function mailboxOf(test: TestApi, machineId: string): Promise<Answer['body']> {
  const { mailbox } = (await test.call('GET', `/v1/machines/${machineId}`)).body;
  return (await test.call('GET', `/v1/mailboxes/${mailbox}`)).body;
}

/** Lets time pass until the mailbox is in a state. */
async function passUntil(test: TestApi, machineId: string, state: string): Promise<Answer['body']> {
  return eventually(`mailbox ${state}`, async () => {
    await test.clock.advance(1_000);
    const mailbox = await mailboxOf(test, machineId);
    return mailbox.state === state && mailbox;
  });
}

async function listen(test: TestApi): Promise<{ readonly told: Notification[]; readonly service: Service }> {
  const told: Notification[] = [];
  const endpoint = { warn: (notification: Notification) => void told.push(notification) };
  const service = notificationListener(await test.connect(), [{ topic: 'notifications' }], [endpoint]);
  await service.start();
  return { told, service };
}

describe('the lifetime of a mailbox', () => {
  it('that nobody ever read ends with a report on every plan and an event with the inventory', async () => {
    await using test = await TestApi.open({ timings });
    const { told, service } = await listen(test);
    const { deployment, plans, conductor, machines, environment } = await posted(test, 2);
    const [plan] = plans;
    assert.ok(plan);
    const before = await mailboxOf(test, plan.machine.id);
    assert.deepEqual(
      [before.state, before.machine.name, before.environment, before.waiting, before.broker],
      ['open', 'web-1', 'shop', 1, { messages: 1, readers: 0 }],
    );
    assert.equal(before.why.code, 'join-token-unused');
    assert.equal(before.why.until, before.expiresAt);
    assert.deepEqual(
      before.letters.map((letter: { id: string; kind: string; state: string; bytes: number }) => [
        letter.id,
        letter.kind,
        letter.state,
        letter.bytes > 0,
      ]),
      [[plan.planId, 'plan', 'stored', true]],
    );

    const expiresMs = Date.parse(before.expiresAt);
    await test.clock.advance(expiresMs - test.clock.now() - 1);
    assert.equal((await test.view(deployment)).plans[0].state, 'stored');
    await test.clock.advance(5_000);
    const view = await eventually('both are told', async () => {
      const now = await test.view(deployment);
      return now.plans.every(({ state }: { state: string }) => state === 'expired') && now;
    });
    assert.equal(view.plans[0].reason, 'not delivered: its mailbox ended after 1m without contact');
    const ended = await eventually('closed', async () => {
      const mailbox = await mailboxOf(test, plan.machine.id);
      return mailbox.state === 'closed' && mailbox;
    });
    assert.equal(ended.reason, 'lifetime');
    assert.equal(ended.why.code, 'mailbox-ended');
    assert.deepEqual(
      ended.letters.map((letter: { id: string; state: string; wasInMailbox: boolean }) => [
        letter.id,
        letter.state,
        letter.wasInMailbox,
      ]),
      [[plan.planId, 'expired', true]],
    );
    await assert.rejects(conductor.boxes.inspect(ended.name), { code: 'NOT_FOUND' });

    await eventually('both events', () => told.length >= 2);
    const event = told.find(({ payload }) => (payload as { mailbox: string }).mailbox === ended.name);
    assert.equal(event?.eventType, 'mailbox.expired');
    const payload = event?.payload as Record<string, unknown> & { letters: readonly object[] };
    assert.deepEqual(
      [payload['machine'], payload['environment'], payload['reason'], payload['lettersTotal']],
      [{ id: plan.machine.id, name: 'web-1' }, { id: environment, name: 'shop' }, 'lifetime', 1],
    );
    const letter = payload.letters[0] as Record<string, unknown>;
    assert.deepEqual(
      [letter['id'], letter['planId'], letter['deploymentId'], letter['became'], letter['wasInMailbox']],
      [plan.planId, plan.planId, deployment, 'expired', true],
    );
    await conductor.workOn(deployment);
    assert.equal((await test.view(deployment)).state, 'failed');

    // The join line ended with the mailbox; a new one comes with a fresh mailbox.
    const line = JSON.parse(
      Buffer.from(String(machines[0]?.joinLine).slice('tcjoin1.'.length), 'base64url').toString(),
    ) as { machine: string; token: string };
    const join = (token: string) =>
      test.call('POST', '/v1/join', {
        token: null,
        body: { machine: line.machine, token, publicKey: test.agentKey(), agentVersion: '1', hostname: 'host' },
      });
    const refused = await join(line.token);
    assert.deepEqual([refused.status, refused.body.code], [401, 'token_unknown']);
    await enrol(test, environment, line.machine);
    assert.equal((await mailboxOf(test, line.machine)).why.code, 'mailbox-reopening');
    await passUntil(test, line.machine, 'open');
    assert.deepEqual(await conductor.boxes.inspect(ended.name), { messages: 0, readers: 0 });
    await service.stop();
  });

  it('ends at the start of the API what passed while it was away, and without a broker too', async () => {
    const first = await TestApi.open({ timings });
    const { deployment, plans } = await posted(first, 1);
    const machineId = plans[0]?.machine.id ?? '';
    await first.stop();
    await first.clock.advance(600_000);
    await using test = await TestApi.open({
      folder: first.folder,
      driver: first.driver,
      testClock: first.clock,
      timings,
    });
    await eventually('expired', async () => (await test.view(deployment)).plans[0].state === 'expired');
    const closing = await mailboxOf(test, machineId);
    assert.deepEqual([closing.state, closing.why.code], ['closing', 'mailbox-closing']);
    await test.attach();
    const { told, service } = await listen(test);
    await passUntil(test, machineId, 'closed');
    await eventually('the event', async () => {
      await test.clock.advance(1_000);
      return told.length === 1;
    });
    const payload = told[0]?.payload as { lettersTotal: number } | undefined;
    assert.equal(payload?.lettersTotal, 1);
    await service.stop();
  });

  it('is renewed by heartbeats, and by whatever else its agent sends', async () => {
    await using test = await TestApi.open({ timings });
    const { deployment, plans, environment } = await posted(test, 2);
    const [beating, working] = plans;
    assert.ok(beating && working);
    for (const { machine } of [beating, working]) await enrol(test, environment, machine.id);
    const transport = await test.connect();
    for (let round = 1; round <= 6; round++) {
      await test.clock.advance(25_000);
      const [before, atMs] = [await mailboxOf(test, working.machine.id), test.clock.now()];
      await new FakeAgent(transport, beating.machine.id).send('heartbeat', heartbeat(test, beating.machine.id));
      const progress = { what: 'stepStarted', step: 'start', sequence: round, atMs } as const;
      await new FakeAgent(transport, working.machine.id).progress(deployment, working.planId, progress);
      await eventually('both were heard', async () => {
        const now = await Promise.all([beating, working].map(({ machine }) => mailboxOf(test, machine.id)));
        return now.every(({ lastContactAt }) => lastContactAt > before.lastContactAt);
      });
    }
    for (const { machine } of [beating, working]) assert.equal((await mailboxOf(test, machine.id)).state, 'open');
  });

  it('reports what still lies in it as expired, and what its silent agent took as unknown until it settles', async () => {
    await using test = await TestApi.open({ timings });
    const { deployment, plans, environment, conductor } = await posted(test, 2);
    const [left, gone] = plans;
    assert.ok(left && gone);
    for (const { machine } of [left, gone]) await enrol(test, environment, machine.id);
    const { name } = await mailboxOf(test, gone.machine.id);
    // The agent journals it and dies before it tells anybody.
    (await conductor.boxes.take(name))?.accept();
    await passUntil(test, left.machine.id, 'closed');
    await passUntil(test, gone.machine.id, 'closed');
    await test.clock.advance(30_000);
    const view = await test.view(deployment);
    assert.deepEqual(
      view.plans.map(({ state, why }: { state: string; why?: { code: string } }) => [state, why?.code]),
      [
        ['expired', undefined],
        ['unknown', 'mailbox-ended-unsettled'],
      ],
    );
    await new FakeAgent(await test.connect(), gone.machine.id).result(deployment, gone.planId);
    await eventually('it settles', async () => (await test.view(deployment)).plans[1].state === 'succeeded');
    // The agent is back: it finds a fresh mailbox under the old name.
    await passUntil(test, gone.machine.id, 'open');
    await conductor.boxes.put(name, { id: 'x', body: new Uint8Array(), headers: { [letterKindHeader]: 'receipt' } });
    assert.equal((await mailboxOf(test, left.machine.id)).state, 'closed');
  });

  it('a letter that a reader may have seen says nothing, where the reader was heard of since', async () => {
    await using test = await TestApi.open({ timings });
    const { deployment, plans, environment, conductor } = await posted(test, 1);
    const [plan] = plans;
    assert.ok(plan);
    await enrol(test, environment, plan.machine.id);
    const { name } = await mailboxOf(test, plan.machine.id);
    (await conductor.boxes.take(name))?.release();
    await passUntil(test, plan.machine.id, 'closed');
    await test.clock.advance(30_000);
    assert.equal((await test.view(deployment)).plans[0].state, 'unknown');
    // On return the letter comes once more, with its id and bytes.
    await new FakeAgent(await test.connect(), plan.machine.id).send('heartbeat', heartbeat(test, plan.machine.id));
    await passUntil(test, plan.machine.id, 'open');
    const letter = await eventually('the letter', async () => {
      await test.clock.advance(1_000);
      return conductor.boxes.take(name);
    });
    assert.deepEqual([letter.id, letter.headers[letterKindHeader]], [plan.planId, 'plan']);
    assert.match(Buffer.from(letter.body).toString(), /^letter for /);
  });

  it('is not over for machines that had no chance to be heard', async () => {
    const first = await TestApi.open({ timings });
    const { plans, environment } = await posted(first, 1);
    const machineId = plans[0]?.machine.id ?? '';
    await enrol(first, environment, machineId);
    await first.stop();
    await first.clock.advance(600_000);
    await using test = await TestApi.open({
      folder: first.folder,
      driver: first.driver,
      testClock: first.clock,
      timings,
    });
    await test.clock.advance(120_000);
    assert.equal((await mailboxOf(test, machineId)).state, 'open');
    await test.attach();
    await test.clock.advance(50_000);
    assert.equal((await mailboxOf(test, machineId)).state, 'open');
    await passUntil(test, machineId, 'closed');
  });
});

describe('a clock that is set forward', () => {
  it('ends no mailbox of an agent that lives', async () => {
    const testClock = new SimulatedClock();
    let setForwardMs = 0;
    const clock: Clock = {
      now: () => testClock.now() + setForwardMs,
      monotonicMs: () => testClock.monotonicMs(),
      after: (delayMs, action) => testClock.after(delayMs, action),
    };
    const lifetime = { ...timings, mailboxLifetimeMs: 86_400_000 };
    await using test = await TestApi.open({ timings: lifetime, clock, testClock });
    const { plans, environment } = await posted(test, 2);
    const [alive, silent] = plans;
    assert.ok(alive && silent);
    for (const { machine } of [alive, silent]) await enrol(test, environment, machine.id);
    await test.clock.advance(200_000);
    setForwardMs = 10 * 86_400_000;
    const agent = new FakeAgent(await test.connect(), alive.machine.id);
    for (let round = 0; round < 20; round++) {
      await test.clock.advance(10_000);
      const { lastContactAt, state } = await mailboxOf(test, alive.machine.id);
      assert.equal(state, 'open');
      await agent.send('heartbeat', heartbeat(test, alive.machine.id));
      await eventually('it was heard', async () => {
        return (await mailboxOf(test, alive.machine.id)).lastContactAt > lastContactAt;
      });
    }
    await passUntil(test, silent.machine.id, 'closed');
  });
});

describe('a deployment to a machine whose mailbox has ended', () => {
  it('ends there as expired, and not before the conductor can hear of it is there a fresh mailbox', async () => {
    await using test = await TestApi.open({ timings });
    const { plans, conductor, environment } = await posted(test, 1);
    const [plan] = plans;
    assert.ok(plan);
    const outlook = async () => (await test.call('GET', `/v1/environments/${environment}/plan`)).body;
    const { expiresAt } = await mailboxOf(test, plan.machine.id);
    assert.equal((await outlook()).off[0].mailboxExpiresAt, expiresAt);
    await passUntil(test, plan.machine.id, 'closed');
    assert.equal((await outlook()).off[0].isMailboxEnded, true);
    await test.clock.advance(10_000);
    await conductor.workOn((await test.call('GET', '/v1/deployments')).body.deployments[0].id);
    const { body: session } = await test.call('POST', `/v1/environments/${environment}/configure`);
    const url = `/v1/environments/${environment}/sessions/${session.id}/deploy`;
    const deployment = String((await test.call('POST', url)).headers['x-torcello-deployment']);
    const claim = await conductor.claim(deployment);
    assert.ok(claim.claimed);
    const event = scheduled('event-1', plan.machine.id, plan.stage, 'a letter');
    const request = { deploymentId: deployment, epoch: claim.epoch, expectedLength: 1, events: [event] };
    assert.ok((await conductor.append(request)).appended);
    assert.equal((await test.view(deployment)).plans[0].why.code, 'mailbox-ended');
    await test.clock.advance(5_000);
    const view = await eventually('its end', async () => {
      const now = await test.view(deployment);
      return now.plans[0].state === 'expired' && now;
    });
    assert.match(view.plans[0].reason, /^not delivered: its mailbox ended/);
    await test.call('POST', `/v1/machines/${plan.machine.id}/join-line`);
    assert.equal((await mailboxOf(test, plan.machine.id)).state, 'reopening');
    await passUntil(test, plan.machine.id, 'open');
  });
});

describe('what people do with mailboxes', () => {
  it('redeliver puts what has not ended again, under its id, and says what it leaves', async () => {
    await using test = await TestApi.open({ timings });
    const { deployment, plans, conductor, environment } = await posted(test, 1);
    const [plan] = plans;
    assert.ok(plan);
    await enrol(test, environment, plan.machine.id);
    const { name } = await mailboxOf(test, plan.machine.id);
    const url = `/v1/mailboxes/${name}/redeliver`;
    const first = await conductor.boxes.take(name);
    first?.accept();
    const again = await test.call('POST', url);
    assert.deepEqual(again.body.redelivered, [{ id: plan.planId, kind: 'plan', deploymentId: deployment }]);
    const second = await eventually('the letter', () => conductor.boxes.take(name));
    assert.deepEqual([second.id, Buffer.from(second.body)], [first?.id, Buffer.from(first?.body ?? [])]);
    second.accept();
    assert.equal((await test.call('POST', url, { body: { id: 'nothing' } })).status, 404);
    await new FakeAgent(await test.connect(), plan.machine.id).result(deployment, plan.planId);
    await eventually('the end', async () => (await test.view(deployment)).plans[0].state === 'succeeded');
    assert.deepEqual((await test.call('POST', url)).body, { mailbox: name, redelivered: [], left: [] });
    assert.equal((await test.call('POST', '/v1/mailboxes/nothing/redeliver')).status, 404);
  });

  it('redeliver opens an ended mailbox anew; what was reported as expired needs a resume', async () => {
    await using test = await TestApi.open({ timings });
    const { deployment, plans, conductor } = await posted(test, 1);
    const [plan] = plans;
    assert.ok(plan);
    const { name } = await passUntil(test, plan.machine.id, 'closed');
    await conductor.workOn(deployment);
    const { body } = await test.call('POST', `/v1/mailboxes/${name}/redeliver`);
    assert.deepEqual(body.redelivered, []);
    assert.deepEqual(body.left, [
      {
        id: plan.planId,
        kind: 'plan',
        deploymentId: deployment,
        reason: 'the plan has ended: expired',
        cure: `torcello resume ${deployment}`,
      },
    ]);
    await passUntil(test, plan.machine.id, 'open');
    assert.equal((await test.call('POST', `/v1/deployments/${deployment}/resume`)).status, 200);
    await conductor.workOn(deployment);
    const letter = await conductor.boxes.take(name);
    assert.notEqual(letter?.id, plan.planId);
    assert.deepEqual(
      (await mailboxOf(test, plan.machine.id)).earlierLetters.map(({ id }: { id: string }) => id),
      [plan.planId],
    );
  });

  it('delete says what became of each plan, and the machine waits for a new join line', async () => {
    await using test = await TestApi.open({ timings: { mailboxSettleMs: 5_000 } });
    const { told, service } = await listen(test);
    const { deployment, plans, conductor, environment } = await posted(test, 2);
    const [left, taken] = plans;
    assert.ok(left && taken);
    for (const { machine } of [left, taken]) await enrol(test, environment, machine.id);
    const names = await Promise.all(plans.map(async ({ machine }) => (await mailboxOf(test, machine.id)).name));
    (await conductor.boxes.take(names[1] ?? ''))?.accept();
    const answers = await Promise.all(names.map((name) => test.call('DELETE', `/v1/mailboxes/${name}`)));
    assert.deepEqual(
      answers.map(({ body }) => [body.state, body.plans]),
      [
        ['closed', [{ planId: left.planId, deploymentId: deployment, became: 'cancelled' }]],
        ['closed', [{ planId: taken.planId, deploymentId: deployment, became: 'unknown' }]],
      ],
    );
    assert.equal((await test.view(deployment)).plans[0].reason, 'not delivered: its mailbox was deleted');
    await eventually('the events', async () => {
      await test.clock.advance(1_000);
      return told.length === 2;
    });
    assert.deepEqual(new Set(told.map(({ eventType }) => eventType)), new Set(['mailbox.deleted']));
    // Nobody opens it but a person: not the agent that lives.
    await new FakeAgent(await test.connect(), left.machine.id).send('heartbeat', heartbeat(test, left.machine.id));
    await test.clock.advance(60_000);
    assert.equal((await mailboxOf(test, left.machine.id)).state, 'closed');
    assert.equal((await test.call('DELETE', `/v1/mailboxes/${names[0]}`)).body.code, 'mailbox_closed');
    await test.call('POST', `/v1/machines/${left.machine.id}/join-line`);
    await passUntil(test, left.machine.id, 'open');
    await test.call('DELETE', `/v1/machines/${taken.machine.id}`);
    const gone = await test.call('GET', `/v1/mailboxes/${names[1]}`);
    assert.deepEqual([gone.body.state, gone.body.machine.name], ['closed', 'web-2']);
    assert.equal((await test.call('POST', `/v1/mailboxes/${names[1]}/redeliver`)).body.code, 'mailbox_closed');
    assert.equal((await test.call('DELETE', `/v1/mailboxes/${names[1]}`)).body.state, 'forgotten');
    assert.equal((await test.call('GET', `/v1/mailboxes/${names[1]}`)).status, 404);
    await service.stop();
  });

  it('the list comes in pages and by environment', async () => {
    await using test = await TestApi.open({ timings });
    await posted(test, 3);
    const all = (await test.call('GET', '/v1/mailboxes')).body.mailboxes;
    assert.equal(all.length, 3);
    const first = (await test.call('GET', '/v1/mailboxes?limit=2&environment=shop')).body;
    const second = (await test.call('GET', `/v1/mailboxes?limit=2&marker=${first.next}`)).body;
    assert.deepEqual(
      [...first.mailboxes, ...second.mailboxes].map(({ name }) => name),
      all.map(({ name }: { name: string }) => name),
    );
    assert.equal(second.next, undefined);
    assert.deepEqual((await test.call('GET', '/v1/mailboxes?environment=other')).body.mailboxes, []);
  });
});

describe('why', () => {
  it('names a letter that an agent threw away, and redelivery brings the plan once more', async () => {
    await using test = await TestApi.open();
    const { deployment, plans, environment, conductor } = await posted(test, 1);
    const [plan] = plans;
    assert.ok(plan);
    await enrol(test, environment, plan.machine.id);
    const { name } = await mailboxOf(test, plan.machine.id);
    const letter = await conductor.boxes.take(name);
    letter?.reject();
    const notice = { code: 'LETTER_REFUSED', detail: 'BAD_SIGNATURE', count: 1, lastAtMs: test.clock.now() };
    const agent = new FakeAgent(await test.connect(), plan.machine.id);
    await agent.send('heartbeat', { ...heartbeat(test, plan.machine.id), notices: [notice] });
    const why = await eventually('the cause', async () => {
      const { why: found } = (await test.call('GET', `/v1/why/${plan.planId}`)).body;
      return found.code === 'letter-refused' && found;
    });
    assert.match(why.text, /BAD_SIGNATURE/);
    assert.equal(why.cure, `torcello mailbox redeliver ${name}`);
    await test.call('POST', `/v1/mailboxes/${name}/redeliver`);
    const again = await eventually('the letter', () => conductor.boxes.take(name));
    assert.equal(again.id, plan.planId);
    await agent.result(deployment, plan.planId);
    await eventually('the end', async () => (await test.view(deployment)).plans[0].state === 'succeeded');
  });

  it('names events and cancels by the ids of their messages', async () => {
    const first = await TestApi.open({ timings });
    const { plans, deployment } = await posted(first, 1);
    const [plan] = plans;
    assert.ok(plan);
    await first.call('POST', `/v1/deployments/${deployment}/cancel`);
    const cancel = (await first.call('GET', `/v1/why/cancel-${plan.planId}`)).body;
    assert.deepEqual([cancel.kind, cancel.why.code], ['message', 'cancel-not-sent']);
    await first.stop();
    const store = await openStore(first.folder);
    const event = { event_id: 'e'.repeat(32), type: 'mailbox.expired', payload: '{}', created_at: first.clock.now() };
    await store.write(({ db }) => db.insertInto('events').values(event).execute());
    await store.close();
    await using test = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    const { kind, why } = (await test.call('GET', `/v1/why/${event.event_id}`)).body;
    assert.deepEqual([kind, why.code], ['message', 'event-not-sent']);
    assert.match(why.text, /mailbox\.expired/);
    assert.equal((await test.call('GET', '/v1/why/cancel-nothing')).status, 404);
  });
});
