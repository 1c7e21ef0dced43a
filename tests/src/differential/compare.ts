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
const attemptsMax = 3;

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
      compared[at] = await compareOne(scenario, subjects, `s${at}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return compared;
}

/** A loaded machine may keep a foreign broker longer than a step waits: a difference counts when it shows every time. */
async function compareOne(
  scenario: Scenario,
  subjects: { readonly theirs: Subject; readonly ours: Subject },
  prefix: string,
): Promise<Comparison> {
  let shown = { name: scenario.name, theirs: '', ours: '' };
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const names = `${prefix}-${attempt}-`;
    const theirs = await outcome(scenario, subjects.theirs, names);
    const ours = await outcome(scenario, subjects.ours, names);
    shown = { ...shown, theirs, ours };
    if (theirs === ours) return shown;
  }
  return shown;
}

async function outcome(scenario: Scenario, subject: Subject, prefix: string): Promise<string> {
  try {
    return await runScenario(scenario, subject, prefix);
  } catch (error) {
    return `the run failed: ${String(error)}`;
  }
}
