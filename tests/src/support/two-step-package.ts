import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What the second step of the package does, once it has written itself into the ledger. */
export type SecondStep =
  /** Runs until somebody ends it, with a child that has detached itself. */
  | 'runs on'
  /** Fails on the machine node-2. */
  | 'fails on node-2'
  /** Writes a numbered line every 50 ms. */
  | 'writes'
  | 'is fine';

const scripts: Readonly<Record<SecondStep, string>> = {
  'runs on': 'setsid sleep 301 & echo waiting; sleep 300',
  'fails on node-2': 'echo trying; test "$TORCELLO_MACHINE" != node-2',
  writes: 'line=1; while [ "$line" -le 60 ]; do echo "línea $line"; line=$((line + 1)); sleep 0.05; done',
  'is fine': 'echo fine',
};

/**
 * Writes a package of two steps on the role `node` that write themselves into a ledger outside of the system: one file
 * a step that ran, `<deployment>.<machine>.<step>`, with a line for every time.
 */
export function writeTwoStepPackage(
  folder: string,
  options: { readonly version: string; readonly second: SecondStep },
): void {
  mkdirSync(path.join(folder, 'scripts'), { recursive: true });
  const manifest = ['Format: Torcello/1.0', 'Type: Application', 'FullName: test.TwoSteps', 'Name: Two steps'];
  write(folder, 'manifest.yaml', [...manifest, `Version: ${options.version}`]);
  const step = (name: string): readonly string[] => [
    `      - { name: ${name}, script: ${name}.sh, env: { LEDGER: "\${{ inputs.ledger }}" } }`,
  ];
  write(folder, 'application.yaml', [
    'properties:',
    '  type: object',
    '  properties: { ledger: { type: string } }',
    'machines: { node: { min: 1 } }',
    'deploy:',
    '  - role: node',
    '    steps:',
    ...step('first'),
    ...step('second'),
  ]);
  script(folder, 'first.sh', 'echo first');
  script(folder, 'second.sh', scripts[options.second]);
}

function script(folder: string, name: string, work: string): void {
  const record = 'echo "$TORCELLO_PLAN" >> "$LEDGER/$TORCELLO_DEPLOYMENT.$TORCELLO_MACHINE.$TORCELLO_STEP"';
  write(folder, path.join('scripts', name), ['#!/bin/sh', 'set -e', record, work]);
  chmodSync(path.join(folder, 'scripts', name), 0o755);
}

function write(folder: string, name: string, lines: readonly string[]): void {
  writeFileSync(path.join(folder, name), `${lines.join('\n')}\n`);
}
