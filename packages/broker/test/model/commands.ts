import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { AsyncCommand } from 'fast-check';
import type { ModelMessage, QueueModel } from './queue-model.js';
import { idOf, Taker } from './world.js';
import type { World } from './world.js';

/** Counts what was run. */
export interface Counter {
  commands: number;
  nextId: number;
}

type Step = AsyncCommand<QueueModel, World>;
type Settlement = 'ack' | 'requeue' | 'reject';

/** One command: what it does to both, after which both must look the same. */
function step(text: string, counter: Counter, act: (model: QueueModel, world: World) => unknown): Step {
  return {
    check: () => true,
    toString: () => text,
    run: async (model, world) => {
      counter.commands++;
      await act(model, world);
      same(model, world);
    },
  };
}

/** Everything that may happen to a queue, with small numbers, so that things meet. */
export function commandArbitraries(counter: Counter): fc.Arbitrary<Step>[] {
  const publish = fc
    .record({
      priority: fc.integer({ min: 0, max: 4 }),
      isPersistent: fc.boolean(),
      ttlMs: fc.constantFrom(Infinity, Infinity, Infinity, 0, 10, 50),
    })
    .map((wish) =>
      step(`publish(${JSON.stringify(wish)})`, counter, (model, world) => {
        const numbered = { ...wish, id: counter.nextId++ };
        assert.equal(world.publish(numbered), model.publish(numbered));
      }),
    );
  const consume = fc.integer({ min: 1, max: 4 }).map((credit) =>
    step(`consume(${credit})`, counter, (model, world) => {
      if (model.consumers.length >= 3) return;
      const taker = new Taker(`t${counter.nextId++}`, credit);
      world.takers.push(taker);
      model.consume(taker.tag, credit);
      world.queue.addConsumer(taker);
      world.queue.dispatch();
    }),
  );
  const pick = fc.nat({ max: 2 });
  const how = fc.constantFrom<Settlement[]>('ack', 'requeue', 'reject');
  const settle = fc
    .record({ who: pick, count: fc.integer({ min: 1, max: 3 }), how })
    .map((wish) =>
      step(`settle(${JSON.stringify(wish)})`, counter, (model, world) => settleConsumed(model, world, wish)),
    );
  const settleTaken = fc.record({ count: fc.integer({ min: 1, max: 3 }), how }).map((wish) =>
    step(`settleTaken(${JSON.stringify(wish)})`, counter, (model, world) => {
      const count = Math.min(wish.count, model.taken.length);
      if (count === 0) return;
      model.settle(model.taken, count, wish.how);
      settleEntries(world, world.taken, count, wish.how);
    }),
  );
  const cancel = pick.map((who) =>
    step(`cancel(${who})`, counter, (model, world) => cancelConsumer(model, world, who)),
  );
  const advance = fc.constantFrom(1, 10, 30, 60, 2_000).map((ms) =>
    step(`advance(${ms})`, counter, async (model, world) => {
      await world.broker.durable();
      await world.clock.advance(ms);
      if (model.advance(ms)) {
        world.takers = [];
        world.taken = [];
        world.declare();
      }
    }),
  );
  return [publish, publish, publish, publish, consume, settle, settle, settleTaken, cancel, advance, ...plain(counter)];
}

function plain(counter: Counter): fc.Arbitrary<Step>[] {
  const get = step('get', counter, (model, world) => {
    const entry = world.queue.take();
    const message = model.get();
    assert.deepEqual(
      entry === undefined ? undefined : shown(entry),
      message === undefined ? undefined : expected(message),
    );
    if (entry !== undefined) world.taken.push(entry);
  });
  const purge = step('purge', counter, (model, world) => assert.equal(world.queue.purge(), model.purge()));
  const durable = step('durable', counter, (_model, world) => world.broker.durable());
  const restarts = (['stop', 'crash'] as const).map((how) =>
    step(`restart after a ${how}`, counter, async (model, world) => {
      await world.restart(how);
      model.restart(how);
      const dead = model.dead.map(({ text }) => text).toSorted();
      assert.deepEqual(world.deadLetters().toSorted(), dead, 'the dead letters');
    }),
  );
  return [get, get, purge, durable, ...restarts].map((command) => fc.constant(command));
}

function settleConsumed(
  model: QueueModel,
  world: World,
  wish: { readonly who: number; readonly count: number; readonly how: Settlement },
): void {
  const [consumer, taker] = [model.consumers[wish.who], world.takers[wish.who]];
  const count = Math.min(wish.count, consumer?.unsettled.length ?? 0);
  if (consumer === undefined || taker === undefined || count === 0) return;
  model.settle(consumer.unsettled, count, wish.how);
  settleEntries(world, taker.unsettled, count, wish.how);
}

function settleEntries(world: World, from: Taker['unsettled'], count: number, how: Settlement): void {
  const entries = from.splice(0, count);
  if (how === 'requeue') return world.queue.putBack(entries);
  for (const entry of entries) {
    if (how === 'ack') world.queue.settle(entry);
    else world.queue.reject(entry);
  }
  world.queue.dispatch();
}

function cancelConsumer(model: QueueModel, world: World, who: number): void {
  const [consumer, taker] = [model.consumers[who], world.takers[who]];
  if (consumer === undefined || taker === undefined) return;
  model.cancel(consumer);
  world.takers.splice(who, 1);
  taker.credit = 0;
  world.queue.putBack(taker.unsettled.splice(0));
  world.queue.removeConsumer(taker);
}

/** Compares what can be seen without changing anything. */
export function same(model: QueueModel, { queue, takers }: World): void {
  assert.deepEqual(
    [queue.readyCount, queue.unsettledCount, queue.consumerCount],
    [model.ready.length, model.unsettledCount, model.consumers.length],
    'ready, unsettled, consumers',
  );
  takers.forEach(({ unsettled }, at) => {
    assert.deepEqual(unsettled.map(shown), (model.consumers[at]?.unsettled ?? []).map(expected), `consumer ${at}`);
  });
}

function shown(entry: Taker['unsettled'][number]): string {
  return `${idOf(entry)}${entry.isRedelivered ? ' redelivered' : ''} ${entry.returns}`;
}

function expected({ id, isRedelivered, returns }: ModelMessage): string {
  return `${id}${isRedelivered ? ' redelivered' : ''} ${returns}`;
}
