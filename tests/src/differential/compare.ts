import type { Scenario } from './scenario.js';
import { runScenario } from './run-scenario.js';
import type { Subject } from './run-scenario.js';

/** What two brokers showed in one scenario. */
export interface Comparison {
  readonly name: string;
  readonly theirs: string;
  readonly ours: string;
}

const atOnce = 8;

/** Runs every scenario against both brokers, several at a time. */
export async function compareAll(
  scenarios: readonly Scenario[],
  subjects: { readonly theirs: Subject; readonly ours: Subject },
): Promise<Comparison[]> {
  const compared: Comparison[] = [];
  const waiting = scenarios.map((scenario, at) => ({ scenario, at }));
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { scenario, at } = next;
      const prefix = `s${at}-`;
      const [theirs, ours] = await Promise.all([
        outcome(scenario, subjects.theirs, prefix),
        outcome(scenario, subjects.ours, prefix),
      ]);
      compared[at] = { name: scenario.name, theirs, ours };
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return compared;
}

async function outcome(scenario: Scenario, subject: Subject, prefix: string): Promise<string> {
  try {
    return await runScenario(scenario, subject, prefix);
  } catch (error) {
    return `the run failed: ${String(error)}`;
  }
}
