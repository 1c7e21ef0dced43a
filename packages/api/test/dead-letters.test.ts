import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { agentRoutingKey, agentsExchange, deploymentsTopic, tasksMailbox } from '@torcello/contracts';
import type { AttemptAnswer, AttemptRequest } from '@torcello/contracts';
import { mailboxes, rpcClient } from '@torcello/messaging';
import type { Delivery } from '@torcello/messaging';
import { silentLogger, systemRandom } from '@torcello/platform';
import { SimulatedClock } from '@torcello/platform/testing';
import { temporaryFolder } from '@torcello/test-support';
import { Owners } from '../src/access/owners.js';
import type { Context } from '../src/context.js';
import { openStore } from '../src/database/store.js';
import type { Store } from '../src/database/store.js';
import { CarefulBatch } from '../src/dead-letters/careful-batch.js';
import { apiLimits } from '../src/limits.js';
import { Notices } from '../src/notices.js';
import { eventually } from './support/eventually.js';
import { FakeAgent, resultOf } from './support/fake-agent.js';
import { posted } from './support/posted.js';
import { TestApi } from './support/test-api.js';
import type { Answer } from './support/test-api.js';

async function deadLetters(test: TestApi): Promise<Answer['body'][]> {
  return (await test.call('GET', '/v1/dead-letters')).body.deadLetters;
}

describe('a message that cannot be handled', () => {
  it('becomes a dead letter after five attempts, and what is behind it is taken', async () => {
    await using test = await TestApi.open();
    const { deployment, plans, transport } = await posted(test, 2);
    const [wrong, right] = plans;
    assert.ok(wrong && right);
    const agent = new FakeAgent(await test.connect(), wrong.machine.id);
    await transport.publish(
      { exchange: agentsExchange, routingKey: agentRoutingKey(wrong.machine.id, 'result') },
      {
        body: Buffer.from('{"planId":\u0007'),
        headers: { mark: 5n },
        properties: { messageId: 'first', contentType: 'application/json' },
        persistent: true,
        ifNobody: 'fail',
      },
    );
    await new FakeAgent(await test.connect(), right.machine.id).result(deployment, right.planId);
    await eventually('the good one', async () => (await test.view(deployment)).plans[1].state === 'succeeded');
    const [letter] = await eventually('put aside', async () => {
      const all = await deadLetters(test);
      return all.length === 1 && all;
    });
    assert.deepEqual(
      [letter.source, letter.machine, letter.messageId, letter.reason, letter.attempts, letter.bytes, letter.isWhole],
      ['torcello.results', { id: wrong.machine.id, name: 'web-1' }, 'first', 'not_json', 5, 11, true],
    );
    const shown = (await test.call('GET', `/v1/dead-letters/${letter.id}`)).body;
    assert.deepEqual([shown.text, shown.headers], ['{"planId":\u0007', { mark: 5 }]);
    for (const id of [letter.id, 'first']) {
      const { kind, why } = (await test.call('GET', `/v1/why/${id}`)).body;
      assert.deepEqual([kind, why.code], ['message', 'dead-letter']);
      assert.match(why.cure, new RegExp(`deadletter requeue ${letter.id}`));
    }

    // Once more, under its id: it fails again, and comes back under the same.
    assert.equal((await test.call('POST', `/v1/dead-letters/${letter.id}/requeue`)).status, 200);
    const [again] = await eventually('put aside again', async () => {
      const all = await deadLetters(test);
      return all.length === 1 && all;
    });
    assert.deepEqual([again.id, again.messageId, again.attempts], [letter.id, 'first', 5]);
    assert.equal((await test.call('DELETE', `/v1/dead-letters/${letter.id}`)).status, 200);
    assert.deepEqual(await deadLetters(test), []);
    assert.equal((await test.call('POST', `/v1/dead-letters/${letter.id}/requeue`)).status, 404);
    assert.equal((await test.call('DELETE', `/v1/dead-letters/${letter.id}`)).status, 404);
    await agent.result(deployment, wrong.planId);
    await eventually('its sender is heard', async () => (await test.view(deployment)).plans[0].state === 'succeeded');
  });

  it('blocks nothing where handling it throws, and takes effect when it is requeued after the cure', async () => {
    const first = await TestApi.open();
    const broken = await posted(first, 1);
    const sound = await posted(first, 1, { name: 'other' });
    await first.stop();
    const model = await changeModel(first.folder, broken.deployment, () => '{"damaged');
    const test = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    await test.attach();
    const [victim, other] = [broken.plans[0], sound.plans[0]];
    assert.ok(victim && other);
    const connection = await test.connect();
    await new FakeAgent(connection, victim.machine.id).result(broken.deployment, victim.planId);
    await new FakeAgent(connection, other.machine.id).result(sound.deployment, other.planId);
    await eventually('the one behind', async () => (await test.view(sound.deployment)).plans[0].state === 'succeeded');
    const [letter] = await eventually('put aside', async () => {
      const all = await deadLetters(test);
      return all.length === 1 && all;
    });
    assert.equal(letter.attempts, 5);
    assert.match(letter.reason, /^handling it failed: /);
    await test.stop();
    await changeModel(first.folder, broken.deployment, () => model);
    await using cured = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    assert.equal((await cured.call('POST', `/v1/dead-letters/${letter.id}/requeue`)).body.code, 'not_ready');
    await cured.attach();
    assert.equal((await cured.call('POST', `/v1/dead-letters/${letter.id}/requeue`)).status, 200);
    await eventually('it counts', async () => (await cured.view(broken.deployment)).plans[0].state === 'succeeded');
    assert.deepEqual(await deadLetters(cured), []);
  });

  it('a result of a plan that nobody knows is kept, too', async () => {
    await using test = await TestApi.open();
    const { plans } = await posted(test, 1);
    const agent = new FakeAgent(await test.connect(), plans[0]?.machine.id ?? '');
    await agent.send('result', resultOf('0'.repeat(32), '1'.repeat(32)));
    const [letter] = await eventually('put aside', async () => {
      const all = await deadLetters(test);
      return all.length === 1 && all;
    });
    assert.equal(letter.reason, 'foreign_plan');
  });
});

/** Changes the model of a deployment in the database of an API that does not run; answers the old one. */
async function changeModel(folder: string, id: string, change: (model: string) => string): Promise<string> {
  const store = await openStore(folder);
  const { model } = await store.db
    .selectFrom('deployments')
    .select('model')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  await store.write(({ db }) =>
    db
      .updateTable('deployments')
      .set({ model: change(model) })
      .where('id', '=', id)
      .execute(),
  );
  await store.close();
  return model;
}

const machineId = 'a'.repeat(32);

function delivery(text: string, redelivered: boolean): Delivery {
  return {
    message: { body: Buffer.from(text), headers: {}, properties: { messageId: text } },
    destination: { exchange: agentsExchange, routingKey: agentRoutingKey(machineId, 'result') },
    redelivered,
    earlierDeliveries: undefined,
    accept: () => true,
    release: () => true,
    reject: () => true,
  };
}

class SystemError extends Error {
  readonly code: string;
  readonly errcode: number;
  constructor(code: string, errcode: number) {
    super(code);
    this.code = code;
    this.errcode = errcode;
  }
}

/** A process that may die: nothing is written any more after that. */
interface Process {
  readonly context: Context;
  readonly die: () => never;
}

function processOver(store: Store): Process {
  let isDead = false;
  const die = (): never => {
    isDead = true;
    throw new SystemError('ERR_INVALID_STATE', 0);
  };
  const mortal: Pick<Store, 'db' | 'write' | 'close'> = {
    db: store.db,
    write: (work) => store.write((with_) => (isDead ? die() : work(with_))),
    close: () => store.close(),
  };
  const world = {
    clock: new SimulatedClock(),
    random: systemRandom,
    logger: silentLogger,
    notices: new Notices(),
    owners: Owners.none(),
  };
  return { context: { ...world, store: mortal as Store }, die };
}

describe('attempts', () => {
  async function withStore(use: (store: Store) => Promise<void>): Promise<void> {
    const folder = temporaryFolder('dead-letters');
    const store = await openStore(folder.path);
    try {
      await use(store);
    } finally {
      await store.close();
      folder.remove();
    }
  }
  const buried = (store: Store) => store.db.selectFrom('dead_letters').select(['message_id', 'attempts']).execute();
  const counted = (store: Store) => store.db.selectFrom('message_attempts').selectAll().execute();

  it('count before the message is read: one that ends the process is put aside unread', () =>
    withStore(async (store) => {
      const handled: string[] = [];
      let reads = 0;
      for (let life = 1; life <= 20 && !handled.includes('last'); life++) {
        const { context, die } = processOver(store);
        const batches = new CarefulBatch({
          context,
          queue: 'results',
          handle: async (_work, { message }) => {
            const text = Buffer.from(message.body).toString();
            if (text === 'poison') {
              reads += 1;
              die();
            }
            handled.push(text);
            return undefined;
          },
          onHandled: async () => undefined,
        });
        const batch = ['poison', 'last'].map((text) => delivery(text, life > 1));
        await batches.take(batch).catch((error: unknown) => assert.ok(error instanceof SystemError));
      }
      assert.deepEqual(
        (await buried(store)).map((row) => [row.message_id, row.attempts]),
        [['poison', 5]],
      );
      // Once as a fresh message, once more in a batch of repeated ones, and then counted and alone.
      assert.equal(reads, 7);
      assert.deepEqual(await counted(store), []);
    }));

  it('do not count hand-overs, outages, or deaths that came from elsewhere', () =>
    withStore(async (store) => {
      let trouble: 'handed over' | 'disk full' | 'killed elsewhere' | 'none' = 'handed over';
      for (let life = 0; life < 40; life++) {
        const { context, die } = processOver(store);
        trouble = (['handed over', 'disk full', 'killed elsewhere'] as const)[life % 3] ?? 'none';
        const batches = new CarefulBatch({
          context,
          queue: 'results',
          handle: async (_work, { message }) => {
            if (trouble === 'disk full') throw new SystemError('ERR_SQLITE_ERROR', 13);
            if (trouble === 'killed elsewhere' && Buffer.from(message.body).toString() === `m${life % 7}`) die();
            return undefined;
          },
          onHandled: async () => undefined,
        });
        const batch = Array.from({ length: 8 }, (_, n) => delivery(`m${n}`, life > 0));
        if (trouble !== 'handed over')
          await batches.take(batch).catch((error: unknown) => assert.ok(error instanceof SystemError));
      }
      assert.deepEqual(await buried(store), []);
    }));

  it('do not count a disk that stays full, and go on when it is not', () =>
    withStore(async (store) => {
      let isFull = false;
      const handled: string[] = [];
      const life = (isFatal: boolean) => {
        const { context, die } = processOver(store);
        return new CarefulBatch({
          context,
          queue: 'results',
          handle: async (_work, { message }) => {
            if (isFatal) die();
            if (isFull) throw new SystemError('ERR_SQLITE_ERROR', 13);
            handled.push(Buffer.from(message.body).toString());
            return undefined;
          },
          onHandled: async () => undefined,
        });
      };
      const batch = [delivery('first', true), delivery('second', true)];
      await assert.rejects(life(true).take(batch), SystemError);
      isFull = true;
      const batches = life(false);
      for (let attempt = 0; attempt < 12; attempt++) await assert.rejects(batches.take(batch), SystemError);
      isFull = false;
      assert.deepEqual(await batches.take(batch), ['accept', 'accept']);
      assert.deepEqual(handled, ['first', 'second']);
      assert.deepEqual(await buried(store), []);
      assert.deepEqual(await counted(store), []);
    }));

  it('one sender cannot push out the dead letters of others', () =>
    withStore(async (store) => {
      const { context } = processOver(store);
      const batches = new CarefulBatch({
        context,
        queue: 'results',
        handle: async () => 'schema',
        onHandled: async () => undefined,
      });
      const max = apiLimits.deadLettersPerSenderMax.value;
      const other: Delivery = {
        ...delivery('other', true),
        destination: { exchange: agentsExchange, routingKey: agentRoutingKey('b'.repeat(32), 'result') },
      };
      for (let attempt = 0; attempt < 5; attempt++) await batches.take([other]);
      const flood = Array.from({ length: max + 20 }, (_, n) => delivery(`m${n}`, true));
      for (let attempt = 0; attempt < 5; attempt++) await batches.take(flood);
      const rows = await store.db
        .selectFrom('dead_letters')
        .select('machine_id')
        .select((column) => column.fn.countAll<number>().as('count'))
        .groupBy('machine_id')
        .orderBy('machine_id')
        .execute();
      assert.deepEqual(
        rows.map(({ machine_id, count }) => [machine_id, Number(count)]),
        [
          [machineId, max],
          ['b'.repeat(32), 1],
        ],
      );
    }));
});

describe('a hint that conductors cannot handle', () => {
  const message = {
    exchange: '',
    routingKey: tasksMailbox,
    messageId: 'hint-1',
    headers: '{"mark":1}',
    body: Buffer.from('{"deploymentId":').toString('base64'),
    bytes: 16,
  };
  const asked = (
    test: TestApi,
  ): Promise<(request: Omit<AttemptRequest, 'nonce'>, nonce?: string) => Promise<boolean>> =>
    test.connect().then((transport) => {
      const rpc = rpcClient(transport, deploymentsTopic);
      let asks = 0;
      return async (request, nonce = `nonce-${(asks += 1)}`) =>
        (await rpc.call<AttemptAnswer>('attempt', { ...request, nonce })).isBuried;
    });

  it('is put aside after five attempts, and goes back into their mailbox under its id', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const ask = await asked(test);
    const failed = (hasBegun: boolean, nonce?: string): Promise<boolean> =>
      ask({ stage: 'failed', hasBegun, reason: 'not_json', message }, nonce);
    assert.equal(await failed(false, 'first'), false);
    for (let again = 0; again < 5; again++)
      assert.equal(await failed(false, 'first'), false, 'the same is counted once');
    for (let attempt = 2; attempt <= 5; attempt++) {
      assert.equal(await ask({ stage: 'begins', message }), false, `attempt ${attempt} may be made`);
      assert.equal(await failed(true), attempt === 5, `attempt ${attempt}`);
    }
    const [letter] = await deadLetters(test);
    assert.deepEqual(
      [letter.source, letter.messageId, letter.reason, letter.attempts, letter.bytes, letter.isWhole, letter.machine],
      [tasksMailbox, 'hint-1', 'not_json', 5, 16, true, undefined],
    );
    assert.equal((await test.call('POST', `/v1/dead-letters/${letter.id}/requeue`)).status, 200);
    const back = await mailboxes(await test.connect()).take(tasksMailbox);
    assert.deepEqual(
      [back?.id, back?.headers['mark'], Buffer.from(back?.body ?? []).toString()],
      ['hint-1', 1, '{"deploymentId":'],
    );
    assert.deepEqual(await deadLetters(test), []);
  });

  it('is put aside unread when conductors ended five times over it; what was none, or went well, does not count', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const ask = await asked(test);
    const begins = (): Promise<boolean> => ask({ stage: 'begins', message });
    for (let time = 0; time < 12; time++) {
      assert.equal(await begins(), false, 'a hand-over');
      await ask({ stage: 'givenBack', message });
    }
    for (let time = 0; time < 4; time++) assert.equal(await begins(), false, 'four ended');
    await ask({ stage: 'succeeded', message });
    for (let time = 0; time < 5; time++) assert.equal(await begins(), false, 'five ended');
    assert.equal(await begins(), true);
    const [letter] = await deadLetters(test);
    assert.deepEqual(
      [letter.attempts, letter.reason],
      [5, 'the conductor ended each time while it handled this message'],
    );
  });

  it('of which only the beginning came cannot be requeued', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const ask = await asked(test);
    const head = { ...message, bytes: 5_000_000 };
    for (let attempt = 1; attempt <= 5; attempt++) await ask({ stage: 'failed', reason: 'too_large', message: head });
    const [letter] = await deadLetters(test);
    assert.deepEqual([letter.bytes, letter.isWhole], [5_000_000, false]);
    assert.equal((await test.call('POST', `/v1/dead-letters/${letter.id}/requeue`)).body.code, 'too_large');
  });
});
