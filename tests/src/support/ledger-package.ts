import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * A package whose steps write themselves into a ledger that no part of the system can touch: a line for every time that
 * a step really ran. Each machine of role `node` runs `steps` steps.
 */
export function writeLedgerPackage(
  folder: string,
  options: { readonly steps: number; readonly stepMs?: number },
): void {
  mkdirSync(path.join(folder, 'scripts'), { recursive: true });
  writeFileSync(
    path.join(folder, 'manifest.yaml'),
    [
      'Format: Torcello/1.0',
      'Type: Application',
      'FullName: test.Ledger',
      'Name: Ledger',
      'Version: 1.0.0',
      'Description: Writes down what ran',
      'Author: tests',
      'Tags: [test]',
      '',
    ].join('\n'),
  );
  const steps = Array.from({ length: options.steps }, (_, index) => [
    `      - name: step-${index + 1}`,
    '        script: write-down.sh',
    '        timeout: 60s',
    '        env: { LEDGER: "${{ inputs.ledger }}" }',
  ]).flat();
  writeFileSync(
    path.join(folder, 'application.yaml'),
    [
      'properties:',
      '  type: object',
      '  additionalProperties: false',
      '  required: [ledger]',
      '  properties: { ledger: { type: string } }',
      'machines: { node: { min: 1 } }',
      'deploy:',
      '  - role: node',
      '    steps:',
      ...steps,
      'destroy:',
      '  - role: node',
      '    steps: [{ name: nothing, command: ["true"] }]',
      '',
    ].join('\n'),
  );
  const script = path.join(folder, 'scripts', 'write-down.sh');
  const pause = ((options.stepMs ?? 0) / 1000).toFixed(3);
  writeFileSync(
    script,
    `#!/bin/sh\nset -e\necho "$TORCELLO_PLAN" >> "$LEDGER/$TORCELLO_DEPLOYMENT.$TORCELLO_MACHINE.$TORCELLO_STEP"\necho "$TORCELLO_STEP of $TORCELLO_MACHINE"\nsleep ${pause}\n`,
  );
  chmodSync(script, 0o755);
}

/** How often each step ran, by `<deployment>.<machine>.<step>`. */
export function readLedger(folder: string): ReadonlyMap<string, number> {
  const runs = readdirSync(folder).map((name) => {
    const lines = readFileSync(path.join(folder, name), 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    return [name, lines.length] as const;
  });
  return new Map(runs);
}
