import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { it } from 'node:test';
import { SimulatedClock } from '@torcello/platform/testing';
import type { HistoryEntry } from '../src/notices.js';
import { EventStream } from '../src/watch/event-stream.js';
import type { WatchEvent, WatchHub } from '../src/watch/hub.js';

const entry = (n: number): HistoryEntry => ({
  n,
  atMs: 0,
  event: { type: 'planStored', planId: `p${n}`, storedAtMs: 0 },
});

it('an event that was both read and told while reading is shown once, and in its place', () => {
  let tell: (events: readonly WatchEvent[]) => void = () => undefined;
  const hub = {
    watch: (_id: string, watcher: typeof tell) => ((tell = watcher), () => undefined),
  } as unknown as WatchHub;
  const written: string[] = [];
  const response = Object.assign(new EventEmitter(), {
    writableLength: 0,
    writeHead: () => undefined,
    write: (text: string) => written.push(text),
    end: () => undefined,
  }) as unknown as ServerResponse;
  const stream = new EventStream({ hub, clock: new SimulatedClock(), deploymentId: 'd', response, lastN: 0 });
  tell([
    { type: 'history', entry: entry(1) },
    { type: 'history', entry: entry(2) },
  ]);
  stream.open({ plans: [], history: [entry(1)], finished: undefined });
  tell([{ type: 'history', entry: entry(3) }]);
  stream.end();
  assert.deepEqual(
    written.map((text) => /^id: (\d+)$/m.exec(text)?.[1]),
    ['1', '2', '3'],
  );
});
