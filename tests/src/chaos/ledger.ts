import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What becomes of a step that is cut off, by its name. */
export const policies: Readonly<Record<string, 'rerun' | 'check' | 'fail'>> = {
  'step-1': 'rerun',
  'step-2': 'check',
  'step-3': 'fail',
};
export const stepNames: readonly string[] = Object.keys(policies);
const linesPerStep = 20;
const separator = '+';
const entryOf = ['TORCELLO_DEPLOYMENT', 'TORCELLO_MACHINE', 'TORCELLO_STEP', 'TORCELLO_PLAN']
  .map((name) => `$${name}`)
  .join(separator);

/**
 * A package whose steps write themselves into a ledger outside the system, one file a start, made exclusively and named
 * after plan and boot of the machine: a second start of the same leaves a file that ends in `again`. Each step then prints
 * numbered lines, so that a gap or a repeat in its stored output shows, and at last says in the ledger that it is done.
 */
export function writeChaosPackage(folder: string): void {
  mkdirSync(path.join(folder, 'scripts'), { recursive: true });
  const manifest = {
    Format: 'Torcello/1.0',
    Type: 'Application',
    FullName: 'test.Chaos',
    Name: 'Chaos',
    Version: '1.0.0',
  };
  const about = { Description: 'Writes down what ran', Author: 'tests', Tags: ['test'] };
  writeFileSync(path.join(folder, 'manifest.yaml'), JSON.stringify({ ...manifest, ...about }));
  const steps = Object.entries(policies).map(([name, onInterrupt]) => ({
    name,
    script: 'write-down.sh',
    timeout: '10m',
    env: { LEDGER: '${{ inputs.ledger }}' },
    onInterrupt,
    ...(onInterrupt === 'check' ? { check: ['sh', '-c', `test -e "$LEDGER/${entryOf}${separator}done"`] } : {}),
  }));
  const application = {
    properties: { type: 'object', required: ['ledger'], properties: { ledger: { type: 'string' } } },
    machines: { node: { min: 1 } },
    deploy: [{ role: 'node', steps }],
    destroy: [{ role: 'node', steps: [{ name: 'nothing', command: ['true'] }] }],
  };
  writeFileSync(path.join(folder, 'application.yaml'), JSON.stringify(application));
  const script = path.join(folder, 'scripts', 'write-down.sh');
  writeFileSync(script, `${scriptLines.join('\n')}\n`);
  chmodSync(script, 0o755);
}

/** A line that finds no room on the disk is printed again: a step that waits for room is no gap. */
const scriptLines = [
  '#!/bin/sh',
  `entry="$LEDGER/${entryOf}"`,
  `start="$entry${separator}$(cat "$HOME/boot-id")"`,
  `(set -C; echo > "$start") 2>/dev/null || echo >> "$start${separator}again"`,
  'i=0',
  `while [ $i -lt ${linesPerStep} ]; do`,
  '  i=$((i+1))',
  '  until echo "line $i of $TORCELLO_STEP" 2>/dev/null; do sleep 0.1; done',
  '  sleep 0.05',
  'done',
  `echo > "$entry${separator}done"`,
];

const lineOf = (step: string, number: number): string => `line ${number} of ${step}\n`;

/** What a step prints when nothing of it is lost or repeated. */
export function expectedOutput(step: string): string {
  return Array.from({ length: linesPerStep }, (_, index) => lineOf(step, index + 1)).join('');
}

/** Whether a text is what a step printed that was begun so often and cut off each time but, if it ended, the last. */
export function isOutputOf(
  step: string,
  text: string,
  { starts, hasEnded }: { readonly starts: number; readonly hasEnded: boolean },
): boolean {
  const lines = text.split('\n').slice(0, -1);
  let [begun, last] = [0, 0];
  for (const line of lines) {
    if (`${line}\n` === lineOf(step, last + 1)) last += 1;
    else if (`${line}\n` === lineOf(step, 1)) last = 1;
    else return false;
    if (last === 1) begun += 1;
  }
  return begun <= starts && (!hasEnded || last === linesPerStep);
}

/** One start of a step, as it wrote itself down. */
export interface Start {
  readonly deployment: string;
  readonly machine: string;
  readonly step: string;
  readonly plan: string;
  readonly boot: string;
  readonly atMs: number;
}

export interface Ledger {
  /** In the order of time. */
  readonly starts: readonly Start[];
  /** By deployment, machine, step and plan: when it had done its work. */
  readonly done: ReadonlyMap<string, number>;
  /** Starts of the same plan in the same boot as one before. */
  readonly again: readonly string[];
}

export const doneKey = (of: Pick<Start, 'deployment' | 'machine' | 'step' | 'plan'>): string =>
  [of.deployment, of.machine, of.step, of.plan].join(separator);

export function readChaosLedger(folder: string): Ledger {
  const starts: Start[] = [];
  const done = new Map<string, number>();
  const again: string[] = [];
  for (const name of readdirSync(folder)) {
    const [deployment = '', machine = '', step = '', plan = '', boot = '', repeat] = name.split(separator);
    const atMs = statSync(path.join(folder, name)).mtimeMs;
    if (repeat !== undefined) again.push(name);
    else if (boot === 'done') done.set(doneKey({ deployment, machine, step, plan }), atMs);
    else starts.push({ deployment, machine, step, plan, boot, atMs });
  }
  return { starts: starts.toSorted((one, other) => one.atMs - other.atMs), done, again };
}
