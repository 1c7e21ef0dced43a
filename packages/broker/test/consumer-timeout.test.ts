import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '@torcello/platform/testing';
import { RawClient } from './support/raw-client.js';
import { testBroker } from './support/test-broker.js';

const persistent = { properties: { deliveryMode: 2 }, body: Buffer.from('1') };

for (const { name, args, limits, isOverMs } of [
  { name: "the broker's own", args: {}, limits: { consumerTimeoutMs: 60_000 }, isOverMs: 60_000 },
  { name: "the queue's", args: { 'x-consumer-timeout': 90_000 }, limits: {}, isOverMs: 90_000 },
]) {
  test(`a delivery that nobody settles ends its channel after ${name} time, and goes back`, async (t) => {
    const clock = new SimulatedClock();
    const { broker } = await testBroker(t, { clock, limits: { ...limits, consumerTimeoutCheckMs: 1_000 } });
    const client = await new RawClient(broker).open();
    await client.channel();
    client.send(1, { name: 'queue.declare', queue: 'q', durable: true, arguments: args });
    client.send(1, { name: 'basic.consume', queue: 'q', consumerTag: 'c' });
    client.publish(1, 'q', persistent);
    await client.method('basic.deliver');
    const queue = broker.vhosts.get('/')?.queues.get('q');
    await clock.advance(isOverMs - 1_000);
    assert.equal(queue?.unsettledCount, 1, 'not yet');
    await clock.advance(2_000);
    const { replyCode, classId, methodId } = await client.method('channel.close');
    assert.deepEqual([replyCode, classId, methodId], [406, 0, 0]);
    assert.equal(queue?.unsettledCount, 0);
    assert.equal(queue?.readyCount, 1);
    client.destroy();
  });
}
