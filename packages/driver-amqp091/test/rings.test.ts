import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConfirmRing } from '../src/confirm-ring.js';
import { Fifo } from '../src/fifo.js';
import { Settlement } from '../src/settlement.js';
import type { Channel } from '../src/channel.js';

test('the ring of unconfirmed publishes behaves like a map of numbers', () => {
  const step = fc.oneof(
    fc.constant('add' as const),
    fc.nat(300),
    fc.nat(300).map((upTo) => [upTo] as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const ring = new ConfirmRing<number>();
      const model = new Map<number, number>();
      let next = 1;
      for (const drawn of steps) {
        // Numbers near those in use: acks beyond what was sent are rare, acks in any order are not.
        const within = (number: number): number => number % (next + 1);
        const action =
          drawn === 'add' ? drawn : typeof drawn === 'number' ? within(drawn) : ([within(drawn[0])] as const);
        if (action === 'add') {
          assert.equal(ring.add(next), next);
          model.set(next, next);
          next += 1;
        } else if (typeof action === 'number') {
          assert.equal(ring.take(action), model.get(action));
          model.delete(action);
        } else {
          const taken: number[] = [];
          ring.takeUpTo(action[0], (item) => taken.push(item));
          const expected = [...model.keys()].filter((key) => action[0] === 0 || key <= action[0]);
          assert.deepEqual(taken, expected);
          for (const key of expected) model.delete(key);
        }
        const [first] = model.keys();
        assert.equal(ring.find(0, () => true)?.item, first);
        assert.equal(ring.span, first === undefined ? 0 : next - first);
      }
    }),
    { numRuns: 2000 },
  );
});

test('what goes in first comes out first', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(), fc.constant('shift' as const)), { maxLength: 5000 }), (steps) => {
      const [fifo, model] = [new Fifo<number>(), [] as number[]];
      for (const action of steps) {
        if (action === 'shift') assert.equal(fifo.shift(), model.shift());
        else {
          fifo.push(action);
          model.push(action);
        }
        assert.equal(fifo.length, model.length);
      }
      assert.deepEqual(fifo.drain(), model);
    }),
    { numRuns: 20 },
  );
});

/** What the broker makes of acks and rejects: every tag settled exactly once, none that nobody settled. */
test('settlements in any order and grouping reach the broker exactly', () => {
  const choice = fc.record({ pick: fc.nat(), how: fc.constantFrom('accept', 'release', 'reject', 'flush', 'deliver') });
  fc.assert(
    fc.property(fc.array(choice, { maxLength: 600 }), (choices) => {
      const atBroker = new Set<number>();
      const open = new Set<number>();
      const sent = { acks: 0 };
      const channel = {
        isOpen: true,
        flushSoon: () => undefined,
        send: (method: { name: string; deliveryTag: number; multiple?: boolean }) => {
          const tags =
            method.multiple === true ? [...atBroker].filter((tag) => tag <= method.deliveryTag) : [method.deliveryTag];
          sent.acks += 1;
          assert.ok(tags.length > 0, 'settles something');
          for (const tag of tags) {
            assert.equal(open.has(tag), false, `${tag} is still being worked on`);
            assert.equal(atBroker.delete(tag), true, `${tag} is settled once`);
          }
        },
      };
      const settlement = new Settlement(channel as unknown as Channel);
      let next = 1;
      for (const { pick, how } of choices) {
        if (how === 'deliver') {
          atBroker.add(next);
          open.add(next);
          settlement.add(next);
          next += 1;
        } else if (how === 'flush') settlement.flush();
        else {
          const tag = [...open][pick % Math.max(1, open.size)];
          if (tag === undefined) continue;
          open.delete(tag);
          if (how === 'accept') settlement.accept(tag);
          else settlement.reject(tag, how === 'release');
        }
        assert.equal(settlement.unsettledCount, open.size);
      }
      settlement.flush();
      assert.deepEqual([...atBroker], [...open]);
    }),
  );
});

test('tags may begin anywhere, as on a channel that was used before', () => {
  const acks: number[] = [];
  const channel = {
    isOpen: true,
    flushSoon: () => undefined,
    send: ({ deliveryTag }: { deliveryTag: number }) => acks.push(deliveryTag),
  };
  const settlement = new Settlement(channel as unknown as Channel);
  for (const tag of [1_000_000_000, 1_000_000_001]) settlement.add(tag);
  settlement.accept(1_000_000_001);
  settlement.flush();
  settlement.accept(1_000_000_000);
  settlement.flush();
  assert.deepEqual(acks, [1_000_000_001, 1_000_000_000]);
});
