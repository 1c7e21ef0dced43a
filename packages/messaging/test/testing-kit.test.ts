import assert from 'node:assert/strict';
import test from 'node:test';
import { systemClock } from '@torcello/platform';
import { connect, isMessagingError, mailboxes, RemoteFailure, rpcClient, rpcServer } from '../src/index.js';
import {
  capabilityTable,
  MemoryBroker,
  memoryDriver,
  parseRecording,
  planFaults,
  playback,
  recordedCalls,
  Recorder,
  replayCalls,
  replayMailbox,
  stringifyRecording,
  testWorld,
} from '../src/testing/index.js';
import { bytes, settled, text } from './support/world.js';

test('a schedule of faults follows from its seed and stays within its time', () => {
  const plan = { seed: 5, withinMs: 60_000, cuts: 3, outages: 2, blockades: 2, lostConfirms: 2 };
  const faults = planFaults(plan);
  assert.deepEqual(planFaults(plan), faults);
  assert.notDeepEqual(planFaults({ ...plan, seed: 6 }), faults);
  assert.equal(faults.length, 9);
  for (const fault of faults) {
    assert.ok(fault.atMs >= 0 && fault.atMs + ('forMs' in fault ? fault.forMs : 0) <= 60_000, JSON.stringify(fault));
  }
  assert.deepEqual(
    faults.map(({ atMs }) => atMs),
    faults.map(({ atMs }) => atMs).toSorted((a, b) => a - b),
  );
});

for (const seed of [1, 2, 3, 4, 5]) {
  test(`letters arrive once, by their ids, whatever the schedule of seed ${seed} does`, async () => {
    await using world = testWorld({ seed });
    const [sender, transport] = [await world.join(), await world.join()];
    const boxes = mailboxes(sender);
    await boxes.open('m');
    const faults = planFaults({ seed, withinMs: 20_000, cuts: 3, outages: 2, blockades: 2, lostConfirms: 3 });
    world.plan(faults);
    const seen = new Map<string, number>();
    const stop = new AbortController();
    const reading = (async () => {
      for await (const letter of mailboxes(transport).read('m', { credit: 3, signal: stop.signal })) {
        if (letter.accept()) seen.set(letter.id, (seen.get(letter.id) ?? 0) + 1);
      }
    })();
    const putting = (async () => {
      for (let id = 0; id < 40; id += 1) {
        await boxes.put('m', { id: String(id), body: bytes('') }, { timeoutMs: 120_000 });
        await new Promise<void>((resolve) => void world.clock.after(500, resolve));
      }
    })();
    for (let second = 0; second < 200; second += 1) await world.clock.advance(1_000);
    await putting;
    stop.abort();
    await reading;
    assert.equal(seen.size, 40, JSON.stringify(faults));
  });
}

test('a fault that is planned happens: without its healing the test above would not be one', async () => {
  await using world = testWorld();
  const transport = await world.join();
  await mailboxes(transport).open('m');
  const end = world.plan([{ atMs: 100, what: 'away', forMs: 1_000_000 }]);
  await world.clock.advance(100);
  assert.equal(transport.state, 'connecting');
  const put = mailboxes(transport).put('m', { id: '1', body: bytes('') }, { timeoutMs: 5_000 });
  const refused = assert.rejects(put, (error) => isMessagingError(error, 'TIMEOUT'));
  await world.clock.advance(5_000);
  await refused;
  end();
  await world.clock.advance(20_000);
  assert.equal(transport.state, 'connected');
});

async function recordSession(): Promise<string> {
  const broker = new MemoryBroker(systemClock);
  const recorder = new Recorder(systemClock);
  await using near = await connect('memory:', { drivers: [recorder.driver(memoryDriver({ broker }))] });
  await using far = await connect('memory:', { drivers: [memoryDriver({ broker })] });
  let count = 0;
  const methods = {
    next: () => (count += 1),
    big: () => 2n ** 60n,
    fail: () => Promise.reject(new RemoteFailure({ class: 'Broke', message: 'no money', data: { left: 3 } })),
  };
  const server = rpcServer(far, { topic: 'calc', server: 'one' }, [{ target: { version: '1.2' }, methods }]);
  await server.start();
  const client = rpcClient(near, { topic: 'calc', version: '1.1' }, { context: { user: 'ann' } });
  await client.call('next', { of: 'x' });
  await client.call('next', { of: 'x' });
  await client.call('big');
  await assert.rejects(client.call('fail'), (error) => isMessagingError(error, 'REMOTE_ERROR'));
  await client.cast('next', { of: 'y' });
  const boxes = mailboxes(near);
  await boxes.open('m');
  for (const id of ['1', '2']) await boxes.put('m', { id, body: bytes(`letter ${id}`), headers: { n: 1 } });
  const [first] = [await boxes.take('m')];
  first?.release();
  for (let letter = await boxes.take('m'); letter !== undefined; letter = await boxes.take('m')) letter.accept();
  await server.stop();
  return stringifyRecording(recorder.recording());
}

test('a recording keeps what went over a driver, and survives being written down', async () => {
  const recording = parseRecording(await recordSession());
  const calls = recordedCalls(recording);
  assert.deepEqual(
    calls.map(({ method, args, version, context, isCast }) => [method, args, version, context, isCast]),
    [
      ['next', { of: 'x' }, '1.1', { user: 'ann' }, false],
      ['next', { of: 'x' }, '1.1', { user: 'ann' }, false],
      ['big', {}, '1.1', { user: 'ann' }, false],
      ['fail', {}, '1.1', { user: 'ann' }, false],
      ['next', { of: 'y' }, '1.1', { user: 'ann' }, true],
    ],
  );
  assert.deepEqual(
    calls.slice(0, 3).map(({ answer }) => answer),
    [{ result: 1 }, { result: 2 }, { result: 2n ** 60n }],
  );
  const settled = recording.events.filter(({ what }) => what === 'settled');
  assert.deepEqual(
    settled.map((event) => event.what === 'settled' && event.how),
    ['release', 'accept', 'accept'],
  );
});

test('a recorded mailbox is put again: the same bytes in the same order, each once', async () => {
  const recording = parseRecording(await recordSession());
  await using world = testWorld();
  const transport = await world.join();
  const boxes = mailboxes(transport);
  await boxes.open('again');
  assert.equal(await replayMailbox(recording, transport, { queue: 'm', as: 'again' }), 2);
  for (const id of ['1', '2']) {
    const letter = await boxes.take('again');
    assert.deepEqual([letter?.id, text(letter?.body ?? bytes('')), letter?.headers['n']], [id, `letter ${id}`, 1]);
  }
});

test('a client is tested against the answers of a recorded server', async () => {
  const recording = parseRecording(await recordSession());
  await using world = testWorld();
  const [near, far] = [await world.join(), await world.join()];
  const server = rpcServer(far, { topic: 'calc', server: 'two' }, playback(recording));
  await server.start();
  const client = rpcClient(near, { topic: 'calc', version: '1.1' });
  assert.deepEqual(
    [await client.call('next', { of: 'x' }), await client.call('next', { of: 'x' }), await client.call('big')],
    [1, 2, 2n ** 60n],
  );
  assert.equal(await client.call('next', { of: 'x' }), 2, 'the last answer stays');
  await assert.rejects(client.call('fail'), (error) => isMessagingError(error) && error.details['class'] === 'Broke');
  await assert.rejects(
    client.call('next', { of: 'z' }),
    (error) => isMessagingError(error) && error.details['class'] === 'NotRecorded',
  );
  await server.stop();
});

test('recorded calls are made again, and a server that answers otherwise is found', async () => {
  const recording = parseRecording(await recordSession());
  await using world = testWorld();
  const [near, far] = [await world.join(), await world.join()];
  const methods = { next: () => 1, big: () => 2n ** 60n, fail: () => Promise.reject(new TypeError('other')) };
  const server = rpcServer(far, { topic: 'calc', server: 'three' }, [{ target: { version: '1.2' }, methods }]);
  await server.start();
  const replayed = await replayCalls(recording, near, { target: { topic: 'calc' } });
  assert.deepEqual(
    replayed.map(({ isSame }) => isSame),
    [true, false, true, false, true],
  );
  await settled();
  await server.stop();
});

test('the table of capabilities has a row for each, also for one who reads it aloud', async () => {
  await using world = testWorld();
  const { capabilities } = await world.join();
  const table = capabilityTable([{ name: 'memory', capabilities }]);
  assert.equal(table.split('\n').length, 2 + Object.keys(capabilities).length);
  assert.match(table, /\| `durableConfirm` +\| – +\|/);
  assert.match(table, /\| `messageSizeBytesMax` +\| 16384 KiB +\|/);
});
