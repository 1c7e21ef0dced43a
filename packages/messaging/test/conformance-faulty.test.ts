import test from 'node:test';
import { systemClock } from '@torcello/platform';
import { conformance, faulty, MemoryBroker, memoryDriver, runConformance } from '../src/testing/index.js';

const broker = new MemoryBroker(systemClock);

/** What stands above the transport must hold although publishes take their connection with them now and then. */
const cases = [
  { lostPublishes: 0.1, sentences: /letters for the owner|reached through an exchange|reader waits|a cast runs/ },
  { lostPublishes: 0.1, sentences: /namespace and version|notifications of all/ },
  { lostPublishes: 0.005, sentences: /many calls/ },
];

for (const { lostPublishes, sentences } of cases) {
  for (const seed of [1, 2]) {
    const driver = faulty(memoryDriver({ broker }), { seed, lostPublishes });
    const above = conformance.filter(({ says }) => sentences.test(says));
    runConformance({ name: `memory, losing ${lostPublishes}, seed ${seed}`, driver, url: 'memory:' }, test, above);
  }
}
