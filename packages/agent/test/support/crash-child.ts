import type { ResultMessage } from '@torcello/contracts/agent';
import { connect, memoryDriver } from '@torcello/messaging';
import { silentLogger, sleep, systemClock } from '@torcello/platform';
import { createPrivateKey } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync, existsSync, statSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { Agent } from '../../src/agent.js';
import type { AgentPointMessage } from '../../src/points.js';
import { PlanKeys, TestControl, machineId } from './control.js';

/**
 * One life of an agent with its control plane in a process of its own: puts all letters again, as a broker would that
 * never heard of the first delivery, and dies by SIGKILL at the n-th point of the agent's work. Without `CRASH_AT` it
 * lives until every plan has its result and all output is there. What the control plane got goes into a file at once.
 * Cancels are put when the ledger is there: a step has started.
 */
const folder = process.argv[2] ?? '';
const crashAt = Number(process.env['CRASH_AT'] ?? 0);
const letters = JSON.parse(readFileSync(path.join(folder, 'letters.json'), 'utf8')) as readonly string[];
const cancels = JSON.parse(readFileSync(path.join(folder, 'cancels.json'), 'utf8')) as readonly string[];
const resultsExpected = Number(process.env['RESULTS'] ?? letters.length);
const keys = new PlanKeys(createPrivateKey(readFileSync(path.join(folder, 'plan.key'))));

let points = 0;
subscribe('torcello:agent', (message) => {
  points += 1;
  const { point, step, record } = message as AgentPointMessage;
  appendFileSync(path.join(folder, 'points'), `${points} ${point} ${record ?? ''} ${step ?? ''}\n`);
  if (points === crashAt) process.kill(process.pid, 'SIGKILL');
});

const driver = memoryDriver();
const control = await TestControl.open('memory:', driver, keys, (kind, body) =>
  appendFileSync(path.join(folder, 'received'), `${JSON.stringify({ kind, body })}\n`),
);
for (const letter of letters) await control.put(Buffer.from(letter, 'base64'));
const agent = new Agent({
  dataFolder: path.join(folder, 'data'),
  identity: control.identity({ machineId }),
  agentVersion: '0',
  clock: systemClock,
  logger: silentLogger,
  nodePath: process.execPath,
  hostEnvironment: { PATH: process.env['PATH'] ?? '', HOME: folder, LANG: 'C' },
  connect: (_purpose, signal) => connect('memory:', { drivers: [driver], signal }),
  onFatal: (error) => {
    throw error;
  },
});
await agent.start();
// Not only there, written: a shell makes the file a moment before it writes the line.
while (cancels.length > 0 && !hasStarted()) await sleep(systemClock, 10);
for (const letter of cancels) await control.put(Buffer.from(letter, 'base64'), 'cancel', 'cancel');
const isResulted = (): boolean =>
  new Set(control.results.map(({ planId }: ResultMessage) => planId)).size === resultsExpected;
await control.until('all results', isResulted);
await control.until('all output', () => received('output').filter((line) => line.includes('"isLast":true')).length > 0);
for (const { planId } of control.results) await control.receipt(planId);
await agent.stop();
await control.close();

function hasStarted(): boolean {
  const ledger = path.join(folder, 'ledger');
  return existsSync(ledger) && statSync(ledger).size > 0;
}

function received(kind: string): readonly string[] {
  const lines = readFileSync(path.join(folder, 'received'), 'utf8').split('\n');
  return lines.filter((line) => line.startsWith(`{"kind":"${kind}"`));
}
