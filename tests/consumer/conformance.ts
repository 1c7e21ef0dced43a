import { memoryDriver } from '@torcello/messaging';
import { conformance, runConformance, type TestContextLike } from '@torcello/messaging/testing';

// With a runner of five lines, because every runtime has another one.
const tests: { readonly name: string; readonly body: (context: TestContextLike) => Promise<void> }[] = [];
runConformance({ name: 'memory', driver: memoryDriver(), url: 'memory:' }, (name, body) => tests.push({ name, body }));
let [passed, skipped] = [0, 0];
for (const { name, body } of tests) {
  let isSkipped = false;
  try {
    await body({ skip: () => (isSkipped = true) });
  } catch (error) {
    console.error(`FAILED ${name}`, error);
    process.exitCode = 1;
    continue;
  }
  if (isSkipped) skipped += 1;
  else passed += 1;
}
console.log(`${passed} passed, ${skipped} skipped of ${conformance.length} sentences and a table`);
