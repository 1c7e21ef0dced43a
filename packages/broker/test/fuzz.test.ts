import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import { SimulatedClock } from '@torcello/platform/testing';
import { emptyDisk, MemoryStore, startBroker } from '../src/index.js';
import { Chaos, noticing } from './fuzz/chaos.js';
import { fuzzFrames } from './fuzz/fuzz-frames.js';
import { RawClient } from './support/raw-client.js';

/** `TORCELLO_FUZZ_SEED=7 TORCELLO_FUZZ_STEPS=100000 node … --test fuzz.test.ts` makes a longer run of it. */
const firstSeed = Number(process.env['TORCELLO_FUZZ_SEED'] ?? 1);
const steps = Number(process.env['TORCELLO_FUZZ_STEPS'] ?? 1500);

for (const seed of [firstSeed, firstSeed + 1, firstSeed + 2]) {
  test(`whatever clients say, the broker answers, forgets nothing it stored, and leaves nothing behind (seed ${seed})`, async () => {
    const chaos = new Chaos(seed);
    const clock = new SimulatedClock();
    const failures: unknown[] = [];
    const disk = emptyDisk();
    const users = [{ name: 'guest', password: 'guest' }];
    const options = {
      users,
      clock,
      logger: noticing(failures),
      permits: ['transient_nonexcl_queues', 'global_qos'] as const,
    };
    const broker = await startBroker({ ...options, store: new MemoryStore(disk) });
    let clients: RawClient[] = [];
    for (let step = 0; step < steps; step++) {
      clients = clients.filter(({ isClosed }) => !isClosed);
      while (clients.length < 3) clients.push(await new RawClient(broker).open());
      const client = chaos.one(clients);
      const channel = 1 + chaos.upTo(3);
      if (chaos.upTo(4) === 0) client.raw(chaos.bytes(channel, { name: 'channel.open' }));
      client.raw(chaos.bytes(channel, chaos.method()));
      if (chaos.upTo(200) === 0) client.raw(Buffer.from([chaos.upTo(256), 0, 1, 0, 0, 0, 1, 1]));
      if (chaos.upTo(100) === 0) client.destroy();
      if (chaos.upTo(10) === 0) await clock.advance(chaos.upTo(500));
    }
    await clock.advance(0);
    assert.deepEqual(failures, []);
    await broker.durable();
    const kept = [...(broker.vhosts.get('/')?.queues.values() ?? [])]
      .filter(({ isKept }) => isKept)
      .map(({ name }) => name);
    await Promise.all([broker.stop(), clock.advance(5_000)]);
    assert.equal(clock.timers, 0);
    const again = await startBroker({ ...options, store: new MemoryStore(disk) });
    const found = [...(again.vhosts.get('/')?.queues.keys() ?? [])];
    assert.deepEqual(found.toSorted(), kept.toSorted());
    await again.stop();
  });
}

const framesMin = 20_000;

test(`whatever bytes come, however split, before and after the login: protocol errors and nothing else (seed ${firstSeed})`, async (t) => {
  const result = await fuzzFrames({ seed: firstSeed, frames: framesMin });
  assert.deepEqual(result.failures, []);
  assert.ok(
    result.frames >= framesMin && result.closes > 50,
    `${result.frames} frames, ${result.closes} connections closed`,
  );
  t.diagnostic(`${result.frames} frames, ${result.closes} connections closed, seed ${firstSeed}`);
});
