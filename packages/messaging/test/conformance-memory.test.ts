import test from 'node:test';
import { systemClock } from '@torcello/platform';
import { MemoryBroker, memoryDriver, runConformance } from '../src/testing/index.js';

const broker = new MemoryBroker(systemClock);

runConformance({ name: 'memory', driver: memoryDriver({ broker }), url: 'memory:', cut: () => broker.cut() }, test);
