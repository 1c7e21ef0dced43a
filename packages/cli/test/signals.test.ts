import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '@torcello/platform/testing';
import { heardOnce, type StopSignal } from '../src/context.js';

test('one Ctrl-C that arrives twice is heard once, a later one again, another signal at once', async () => {
  const clock = new SimulatedClock();
  const senders = new Set<(signal: StopSignal) => void>();
  const source = heardOnce(
    {
      listen: (listener) => {
        senders.add(listener);
        return () => senders.delete(listener);
      },
    },
    clock,
  );
  const heard: StopSignal[] = [];
  const unlisten = source.listen((signal) => heard.push(signal));
  const send = (signal: StopSignal): void => senders.forEach((sender) => sender(signal));
  send('SIGINT');
  await clock.advance(499);
  send('SIGINT');
  assert.deepEqual(heard, ['SIGINT']);
  send('SIGTERM');
  assert.deepEqual(heard, ['SIGINT', 'SIGTERM']);
  await clock.advance(1);
  send('SIGINT');
  assert.deepEqual(heard, ['SIGINT', 'SIGTERM', 'SIGINT']);
  unlisten();
  assert.equal(senders.size, 0);
});
