import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '@torcello/platform';
import { seededRandom, SimulatedClock } from '@torcello/platform/testing';
import { MemoryStore, startBroker } from '../src/index.js';
import type { Broker } from '../src/index.js';
import { CrashLedger } from './crash/ledger.js';
import { RawClient } from './support/raw-client.js';
import { SimulatedDiskStore } from './support/simulated-disk.js';
import type { DiskFault } from './support/simulated-disk.js';

const faults: readonly DiskFault[] = ['EIO', 'ENOSPC', 'power-loss-before-sync', 'power-loss-after-sync'];
const commitsMax = 40;
const users = [{ name: 'guest', password: 'guest' }];
const seed = Number(process.env['TORCELLO_DISK_SEED'] ?? 1);

/** Publishes, takes and acknowledges by seed until the disk fails; every confirm goes into the ledger. */
async function workUntilFault(broker: Broker, store: SimulatedDiskStore, ledger: CrashLedger): Promise<void> {
  const random = seededRandom(seed);
  const client = await new RawClient(broker).open();
  await client.channel();
  client.send(1, { name: 'confirm.select' });
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  client.send(1, { name: 'basic.consume', queue: 'q', consumerTag: 'c' });
  const sent: number[] = [];
  let told = 0;
  const listen = async (): Promise<void> => {
    for (let frame = await client.frame(); frame !== undefined; frame = await client.frame()) {
      if (frame.type !== 'method') continue;
      const { method } = frame;
      if (method.name === 'basic.ack') while (told < method.deliveryTag) ledger.confirmed(sent[told++] ?? 0);
      if (method.name === 'basic.nack') while (told < method.deliveryTag) ledger.refused(sent[told++] ?? 0);
      if (method.name === 'basic.deliver' && random.fraction() < 0.5) {
        client.send(1, { name: 'basic.ack', deliveryTag: method.deliveryTag });
        ledger.acked(Number(method.routingKey === 'q' ? sent[method.deliveryTag - 1] : 0));
      }
    }
  };
  const listening = listen();
  for (let turn = 0; turn < 2_000 && !store.hasFailed; turn++) {
    for (let count = Math.floor(random.fraction() * 4); count > 0; count--) {
      const number = ledger.next();
      sent.push(number);
      client.publish(1, 'q', { properties: { deliveryMode: 2 }, body: Buffer.from(`${number}`) });
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  client.destroy();
  await listening;
}

async function numbersOn(store: MemoryStore): Promise<{ number: number; isIntact: boolean }[]> {
  const broker = await startBroker({ store, users });
  try {
    const client = await new RawClient(broker).open();
    await client.channel();
    client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
    const { messageCount } = await client.method('queue.declare-ok');
    client.send(1, { name: 'basic.consume', queue: 'q', consumerTag: 'c' });
    const found: { number: number; isIntact: boolean }[] = [];
    while (found.length < messageCount) {
      const frame = await client.frame();
      if (frame?.type === 'body') found.push({ number: Number(Buffer.from(frame.payload)), isIntact: true });
    }
    client.destroy();
    return found;
  } finally {
    await broker.stop();
  }
}

for (const kind of faults) {
  test(`${kind} at every one of ${commitsMax} commits: nothing confirmed is lost (seed ${seed})`, async (t) => {
    let confirmed = 0;
    for (let atCommit = 1; atCommit <= commitsMax; atCommit++) {
      const ledger = new CrashLedger();
      const store = new SimulatedDiskStore({ kind, atCommit });
      let fatal: unknown;
      // A broker without power is never stopped: its timers must not outlive it.
      const clock = kind === 'ENOSPC' ? systemClock : new SimulatedClock();
      const broker = await startBroker({ store, users, clock, onFatal: (error) => (fatal = error) });
      store.arm();
      await workUntilFault(broker, store, ledger);
      await (store.hasFailed && kind !== 'ENOSPC' ? undefined : broker.stop());
      assert.ok(store.hasFailed, `commit ${atCommit} came`);
      assert.equal(fatal !== undefined, kind === 'EIO', 'a failed commit is fatal, one without room is not');
      const verdict = ledger.judge(await numbersOn(new MemoryStore(store.disk)));
      assert.deepEqual(verdict, { lost: [], invented: [], disorder: undefined }, `at commit ${atCommit}`);
      confirmed += ledger.confirmedCount;
    }
    assert.ok(confirmed > 100, 'the faults hit a broker at work');
    t.diagnostic(`${confirmed} confirmed, lost 0, invented 0`);
  });
}

test('the ledger finds a confirmed message that is not there, one twice, one that was gone and a broken order', () => {
  const ledger = new CrashLedger();
  for (let count = 0; count < 5; count++) ledger.confirmed(ledger.next());
  ledger.acked(1);
  ledger.confirmed(ledger.next());
  const found = [3, 2, 2, 4, 5, 1].map((number) => ({ number, isIntact: number !== 5 }));
  const { lost, invented, disorder } = ledger.judge(found);
  assert.deepEqual(lost, [6]);
  assert.deepEqual(invented, ['2: there twice', '5: damaged', '1: gone']);
  assert.equal(disorder, '2 came after 3');
});
