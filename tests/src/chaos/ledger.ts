import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export const stepsPerMachine = 3;
const linesPerStep = 20;

/**
 * A package whose steps write themselves into a ledger outside the system, one file a start, made exclusively: a second
 * start of the same step leaves a file that ends in `.again`. Each step then prints numbered lines, so that a gap or a
 * repeat in its stored output shows.
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
  const steps = Array.from({ length: stepsPerMachine }, (_, index) => ({
    name: `step-${index + 1}`,
    script: 'write-down.sh',
    timeout: '10m',
    env: { LEDGER: '${{ inputs.ledger }}' },
  }));
  const application = {
    properties: { type: 'object', required: ['ledger'], properties: { ledger: { type: 'string' } } },
    machines: { node: { min: 1 } },
    deploy: [{ role: 'node', steps }],
    destroy: [{ role: 'node', steps: [{ name: 'nothing', command: ['true'] }] }],
  };
  writeFileSync(path.join(folder, 'application.yaml'), JSON.stringify(application));
  const script = path.join(folder, 'scripts', 'write-down.sh');
  writeFileSync(
    script,
    [
      '#!/bin/sh',
      'entry="$LEDGER/$TORCELLO_DEPLOYMENT.$TORCELLO_MACHINE.$TORCELLO_STEP"',
      '(set -C; echo "$TORCELLO_PLAN" > "$entry") 2>/dev/null || echo "$TORCELLO_PLAN" >> "$entry.again"',
      'i=0',
      `while [ $i -lt ${linesPerStep} ]; do i=$((i+1)); echo "line $i of $TORCELLO_STEP"; sleep 0.05; done`,
      '',
    ].join('\n'),
  );
  chmodSync(script, 0o755);
}

/** What a step prints when nothing of it is lost or repeated. */
export function expectedOutput(step: string): string {
  return Array.from({ length: linesPerStep }, (_, index) => `line ${index + 1} of ${step}\n`).join('');
}

export interface Ledger {
  /** Starts, as `<deployment>.<machine>.<step>`. */
  readonly starts: ReadonlySet<string>;
  /** Starts of something that had been started before. */
  readonly doubled: readonly string[];
}

export function readChaosLedger(folder: string): Ledger {
  const names = readdirSync(folder);
  const again = names.filter((name) => name.endsWith('.again'));
  const doubled = again.flatMap((name) => {
    const lines = readFileSync(path.join(folder, name), 'utf8').split('\n');
    return lines.slice(0, -1).map(() => name);
  });
  return { starts: new Set(names.filter((name) => !name.endsWith('.again'))), doubled };
}
