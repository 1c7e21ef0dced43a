import { capabilityFaults, capabilityTable } from './capability-table.js';
import { conformance } from './conformance/conformance.js';
import { expectEqual } from './expect.js';
import { Harness, type Subject } from './harness.js';
import type { Need, Sentence } from './sentence.js';

/** The part of a test runner that the suite needs; `test` of `node:test` fits. */
export type TestFunction = (name: string, body: (context: TestContextLike) => Promise<void>) => unknown;

export interface TestContextLike {
  skip(why: string): void;
  /** Where the table of capabilities is printed, if the runner has a place for it. */
  diagnostic?(message: string): void;
}

/**
 * Registers every sentence of the conformance suite as a test of its own. A transport is correct when they pass; a
 * missing capability skips those that need it, and says so. One test more prints the table of capabilities.
 */
export function runConformance(
  subject: Subject,
  test: TestFunction,
  sentences: readonly Sentence[] = conformance,
): void {
  if (sentences === conformance) void test(`${subject.name}: says what it can do`, (context) => show(subject, context));
  for (const sentence of sentences) {
    void test(`${subject.name}: ${sentence.says}`, async (context) => {
      const missing = await missingNeeds(subject, sentence.needs ?? []);
      if (missing.length > 0) return context.skip(`needs ${missing.join(', ')}`);
      const harness = new Harness(subject);
      try {
        await sentence.holds(harness);
      } finally {
        await harness.finish();
      }
    });
  }
}

async function show(subject: Subject, context: TestContextLike): Promise<void> {
  const harness = new Harness(subject);
  const { capabilities } = await harness.open();
  await harness.finish();
  for (const line of capabilityTable([{ name: subject.name, capabilities }]).split('\n')) context.diagnostic?.(line);
  expectEqual(capabilityFaults(capabilities), [], 'what is wrong with the capabilities');
}

async function missingNeeds(subject: Subject, needs: readonly Need[]): Promise<readonly Need[]> {
  if (needs.length === 0) return [];
  const harness = new Harness(subject);
  const { capabilities } = await harness.open();
  await harness.finish();
  const lacks = (need: Need): boolean =>
    need === 'cut' ? subject.cut === undefined : capabilities[need] === false || capabilities[need] === 0;
  return needs.filter(lacks);
}
