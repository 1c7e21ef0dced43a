import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { errorCodes } from '../src/index.js';
import { conformance } from '../src/testing/index.js';

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const readme = readFileSync(file('../README.md'), 'utf8');

test('the example in the README is the one that runs', () => {
  const example = readFileSync(file('readme.child.ts'), 'utf8');
  assert.ok(readme.includes(`\`\`\`ts\n${example}\`\`\``));
  const args = ['--import', 'tsx', '--conditions=source', file('readme.child.ts')];
  assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8' }), '3\na book\nplan-1 hello true\n');
});

test('the example of a contract in the README is the one that runs', () => {
  assert.ok(readme.includes(`\`\`\`ts\n${readFileSync(file('readme-contract.child.ts'), 'utf8')}\`\`\``));
  const args = ['--import', 'tsx', '--conditions=source', file('readme-contract.child.ts')];
  assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8' }), '3\n1\n2\n3\ndone\n');
});

test('the example of mailboxes with a ledger in the README is the one that runs', () => {
  assert.ok(readme.includes(`\`\`\`ts\n${readFileSync(file('readme-ledger.child.ts'), 'utf8')}\`\`\``));
  const args = ['--import', 'tsx', '--conditions=source', file('readme-ledger.child.ts')];
  const said = [
    'it waits in mailbox "host-17", which nobody reads and nobody ever did',
    'superseded',
    'key-of-host-17 1',
    'finished ok',
    'plan-1 superseded',
  ];
  assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8' }), `${said.join('\n')}\n`);
});

test('the README tells the number of conformance sentences', () => {
  assert.ok(readme.includes(`${conformance.length} sentences`), `there are ${conformance.length}`);
  const sentences = new Set(conformance.map(({ says }) => says));
  assert.equal(sentences.size, conformance.length, 'no two are alike');
});

test('every error code named in the README exists', () => {
  for (const [, code = ''] of readme.matchAll(/`([A-Z]+_[A-Z_]+|UNROUTABLE|TIMEOUT|ABORTED|CLOSED)`/g)) {
    assert.ok(code in errorCodes, code);
  }
});
