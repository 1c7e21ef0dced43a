import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeploymentView, PlanRow } from '../src/client/views.js';
import { exitCodeOfDeployment, outputText, planLine, planTable } from '../src/output/deployment-text.js';
import { LiveRegion } from '../src/output/live-region.js';
import { formatTable } from '../src/output/table.js';
import { formatAge, formatBytes, parseInstant, safeText } from '../src/output/text.js';

function plan(name: string, state: string, more: Partial<PlanRow> = {}): PlanRow {
  const machine = { id: name, name, role: 'web', index: 0 };
  return { planId: `plan-${name}`, machine, stage: 'web', state, since: '2026-01-01T00:00:00.000Z', ...more };
}

function view(state: DeploymentView['state'], states: readonly string[]): DeploymentView {
  return {
    id: 'd1',
    environmentId: 'e1',
    environmentName: 'shop',
    action: 'deploy',
    state,
    acceptedAt: '2026-01-01T00:00:00.000Z',
    plans: states.map((planState, at) => plan(`web-${at}`, planState)),
  };
}

test('ages are told as people say them', () => {
  const table: readonly (readonly [number, string])[] = [
    [-5, '0s'],
    [59_999, '59s'],
    [60_000, '1m 0s'],
    [3_599_999, '59m 59s'],
    [7_500_000, '2h 5m'],
    [90_000_000, '1d 1h'],
  ];
  for (const [ms, text] of table) assert.equal(formatAge(ms), text);
});

test('sizes have a unit', () => {
  assert.deepEqual([1_023, 1_024, 1_572_864].map(formatBytes), ['1023 B', '1.0 KiB', '1.5 MiB']);
});

test("an instant without a zone is UTC, as Murano's are", () => {
  assert.equal(parseInstant('2026-01-01T00:00:00'), parseInstant('2026-01-01T00:00:00Z'));
  assert.equal(parseInstant('2026-01-01T01:00:00+01:00'), parseInstant('2026-01-01T00:00:00Z'));
  assert.equal(parseInstant('yesterday'), undefined);
  assert.equal(parseInstant(null), undefined);
});

test('what a machine wrote cannot steer the terminal', () => {
  const hostile = 'a\u001b[2Jb\u0007\u202ec\r\nd\te';
  assert.equal(safeText(hostile), 'a\ufffd[2Jb\ufffd\ufffdc\ufffd\ufffdd\ufffde');
  assert.equal(safeText(hostile, { keepLines: true }), 'a\ufffd[2Jb\ufffd\ufffdc\nd\te');
});

test('columns are aligned and lines are cut to the width of the window', () => {
  const columns = [{ title: 'NAME' }, { title: 'N', align: 'right' }] as const;
  assert.deepEqual(
    formatTable(columns, [
      ['a', '10'],
      ['longer', '5'],
    ]),
    ['NAME     N', 'a       10', 'longer   5'],
  );
  assert.deepEqual(formatTable([{ title: 'X' }], [['abcdef']], 4), ['X', 'abc…']);
});

test('a table that does not fit shows failures and running plans first, and counts the rest', () => {
  const plans = [plan('a', 'succeeded'), plan('b', 'stored'), plan('c', 'running'), plan('d', 'failed')];
  const lines = planTable(plans, 0, { rowsMax: 2, widthMax: 80 });
  assert.match(lines[1] ?? '', /^d .*failed/);
  assert.match(lines[2] ?? '', /^c .*running/);
  assert.equal(lines[3], '… and 2 more: 1 succeeded, 1 stored, 1 running, 1 failed');
});

test('a line for a pipe names instant, machine, stage, step, state and reason', () => {
  assert.equal(
    planLine(plan('web-1', 'failed', { step: 'start', reason: 'exit code 3' })),
    '2026-01-01T00:00:00.000Z web-1 web start failed (exit code 3)',
  );
});

test('the exit code tells how a deployment ended', () => {
  const table: readonly (readonly [DeploymentView, number])[] = [
    [view('queued', []), 0],
    [view('running', ['running', 'failed']), 0],
    [view('succeeded', ['succeeded']), 0],
    [view('succeeded', ['succeeded', 'failed']), 0],
    [view('failed', ['succeeded', 'failed']), 2],
    [view('failed', ['failed', 'expired']), 3],
    [view('failed', []), 3],
    [view('failed', ['expired', 'expired']), 4],
    [view('failed', ['expired', 'succeeded']), 4],
    [view('cancelled', ['succeeded', 'cancelled']), 5],
  ];
  for (const [deployment, code] of table) assert.equal(exitCodeOfDeployment(deployment), code);
});

test('output comes below a line that says whose it is and what was left out', () => {
  const output = { planId: 'p', machine: 'web-1', stage: 'web', step: 'start', text: 'one\ntwo\nthree\n' };
  const told = { ...output, fromOffset: 100, totalBytes: 114, isCut: true, outcome: 'failed' };
  assert.deepEqual(outputText(told, 2), ['==> web-1 web start failed, from byte 100 of 114, cut <==', 'two', 'three']);
});

test('the live region erases exactly what it drew', () => {
  let written = '';
  const region = new LiveRegion({ write: (text) => (written += text) });
  region.draw(['a', 'b']);
  region.draw(['c']);
  region.printAbove(['note']);
  region.draw(['d']);
  region.release();
  region.draw(['e']);
  assert.equal(written, 'a\nb\n\u001b[2A\u001b[0Jc\n\u001b[1A\u001b[0Jnote\nd\ne\n');
});
