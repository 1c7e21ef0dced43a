import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connect, memoryDriver } from '@torcello/messaging';
import { handshake } from '../src/handshake.js';
import { measure, situations } from '../src/measure.js';
import { oslo } from '../src/oslo.js';
import { wrapper } from '../src/wrapper.js';

/** The table of the README: by pattern and situation `begun`/`answers`. */
const table = new Map(
  readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, name = '', ...cells]) => [name, cells] as const),
);

for (const pattern of [wrapper, oslo, handshake]) {
  for (const [place, situation] of situations.entries()) {
    test(`${pattern.name}: ${situation}`, async () => {
      const [, begun, answers] = /^begun (\d), answers (\d)/.exec(table.get(pattern.name)?.[place] ?? '') ?? [];
      assert.ok(begun !== undefined && answers !== undefined, 'the README has a row for it');
      const drivers = [memoryDriver()];
      const outcome = await measure(pattern, situation, {
        connect: () => connect('memory:', { drivers, heartbeatMs: 0 }),
        // What is said to come is waited for; what is said never to come gets its chance.
        patienceMs: answers === '0' ? 3_000 : 60_000,
      });
      assert.deepEqual(outcome, { begun: Number(begun), answers: Number(answers) });
    });
  }
}

for (const name of ['wrapper', 'oslo', 'handshake'])
  test(`${name}.ts runs by itself`, async () => {
    const script = fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', '--conditions=source', script]);
    assert.match(stdout, /: done: install the web server\n$/);
  });
