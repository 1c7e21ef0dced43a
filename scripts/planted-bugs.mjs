/**
 * `npm run planted-bugs`: applies one small bug at a time to a copy of the checkout and runs the tests that must see it.
 * Ends with exit code 0 only if every bug turned a test red. Arguments choose bugs by their name.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from './lib/run.mjs';

/** For a file of tests. One that takes longer has failed. */
const patienceMs = 480_000;

/**
 * `find` must stand exactly once in the file; `tests` are run with the bug and must fail; `patienceMs` bounds them where the
 * bug makes something go round for ever. The first ten are promises of their own, the others what somebody might forget.
 */
const bugs = [
  {
    name: 'drop the epoch check',
    file: 'packages/api/src/deployments/appends.ts',
    find: 'row === undefined || row.epoch !== request.epoch',
    plant: 'row === undefined',
    tests: ['packages/api/test/appends.test.ts'],
  },
  {
    name: 'ack before the journal',
    file: 'packages/agent/src/intake.ts',
    find: 'const stranger = this.#enrolmentEnd(header) ?? this.#epochEnd(header, stage);',
    plant: 'letter.accept();\n    const stranger = this.#enrolmentEnd(header) ?? this.#epochEnd(header, stage);',
    tests: ['packages/agent/test/intake.test.ts'],
  },
  {
    name: 'skip the fdatasync',
    file: 'packages/agent/src/journal-disk.ts',
    find: 'sync: () => handle.datasync(),',
    plant: 'sync: () => Promise.resolve(),',
    tests: ['packages/agent/test/journal.test.ts'],
  },
  {
    name: 'forget the outbox',
    file: 'packages/api/src/database/outbox.ts',
    find: 'async function write(context: Context, work: Work, letter: Letter): Promise<void> {',
    plant:
      'async function write(context: Context, work: Work, letter: Letter): Promise<void> {\n  if (letter.mailbox !== "") return;',
    tests: ['packages/api/test/line.test.ts'],
  },
  {
    name: 'apply a result twice',
    file: 'packages/api/src/inbox/results.ts',
    find: 'if (inserted !== undefined) await applyResult',
    plant: 'if (inserted !== undefined || true) await applyResult',
    tests: ['packages/api/test/copies.test.ts'],
  },
  {
    name: 'ignore a return',
    file: 'packages/driver-amqp091/src/publisher.ts',
    find: "else if (method.name === 'basic.return') this.#onReturn(command as ContentCommand, method);",
    plant: "else if (method.name === 'basic.return') return;",
    tests: ['tests/src/conformance-embedded.test.ts'],
  },
  {
    name: 'count the lease on the wall clock',
    file: 'packages/api/src/deployments/leases.ts',
    find: 'this.#endsAtMs.set(deploymentId, this.#clock.monotonicMs() + this.termMs)',
    plant: 'this.#endsAtMs.set(deploymentId, this.#clock.now() + this.termMs)',
    tests: ['packages/api/test/appends.test.ts', 'packages/api/test/restart.test.ts'],
  },
  {
    name: 'resume from the start',
    file: 'packages/contracts/src/deployment.ts',
    find: 'return point === undefined ? intent : { ...intent, fromStep: point.step };',
    plant: 'return point === undefined ? intent : intent;',
    tests: ['packages/contracts/test'],
  },
  {
    name: 'drop the offset check',
    file: 'packages/api/src/inbox/outputs.ts',
    find: 'if (there !== undefined && there.bytes >= chunk.bytes.length) return false;',
    plant: '',
    tests: ['packages/api/test/copies.test.ts'],
  },
  {
    name: 'swallow the expiry',
    file: 'packages/api/src/timers/timers.ts',
    find: "await history.appendByApi(work, row, [{ type: 'planEnded', planId, outcome: 'expired', reason: 'not delivered' }]);",
    plant: 'void history;',
    tests: ['packages/api/test/deliver.test.ts'],
  },
  {
    name: 'forget the plans of a mailbox that ends',
    file: 'packages/api/src/mailboxes/finish-end.ts',
    find: 'await endPlans(parts, work, { end, planIds: await certainlyUnread(work, { end, machine }) });',
    plant: '',
    tests: ['packages/api/test/mailbox-crashes.test.ts'],
  },
  {
    name: 'take letters before they are written down',
    file: 'packages/api/src/mailboxes/drain.ts',
    find: 'await writeDown(store, mailbox, round);',
    plant: 'for (const taken of round) taken.accept();\n    await writeDown(store, mailbox, round);',
    tests: ['packages/api/test/mailbox-crashes.test.ts'],
  },
  {
    name: 'read a message before its attempt is counted',
    file: 'packages/api/src/dead-letters/careful-batch.ts',
    find: "if ((await this.#attempts.begin([delivery])).size > 0) return 'accept';",
    plant: '',
    tests: ['packages/api/test/dead-letters.test.ts'],
    patienceMs: 120_000,
  },
  {
    name: 'forget a stage that others need',
    file: 'packages/contracts/src/deployment.ts',
    find: '.filter((stage) => stage.needs.every((need) => holds(state, stageNamed(state, need))))',
    plant: '.filter(() => true)',
    tests: ['packages/contracts/test'],
  },
  {
    name: 'let a late answer replace the first end',
    file: 'packages/contracts/src/deployment.ts',
    find: 'isOpen(plan) ? { ...plan, outcome: event.outcome, failedStep: event.failedStep } : plan,',
    plant: '({ ...plan, outcome: event.outcome, failedStep: event.failedStep }),',
    tests: ['packages/contracts/test'],
  },
];

const wanted = process.argv.slice(2);
const copy = mkdtempSync(path.join(tmpdir(), 'torcello-bugs-'));
sh('git', ['clone', '-q', root, copy], root);
// Not a link to ours: the packages' links in there would lead back to the sound code.
sh('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--silent'], copy);
const sound = new Map();
let survivors = 0;
const chosen = bugs.filter(({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)));
for (const bug of chosen) {
  const red = redTests(bug).filter((name) => !soundReds(bug).includes(name));
  if (red.length === 0) survivors += 1;
  console.log(`${red.length === 0 ? 'SURVIVED' : 'caught  '} ${bug.name}${red.length === 0 ? '' : `: ${red[0]}`}`);
}
rmSync(copy, { recursive: true, force: true });
console.log(`${chosen.length} bugs, ${survivors} survived`);
process.exitCode = survivors === 0 ? 0 : 1;

/** What fails without any bug (a busy machine, a missing program) proves nothing. */
function soundReds({ tests }) {
  const key = tests.join(' ');
  if (!sound.has(key)) sound.set(key, run(tests, patienceMs));
  return sound.get(key);
}

/** Names of the tests that fail with the bug in place. */
function redTests({ file, find, plant, tests, name, patienceMs: patience = patienceMs }) {
  const target = path.join(copy, file);
  const text = readFileSync(target, 'utf8');
  if (text.split(find).length !== 2) throw new Error(`${name}: its place stands not exactly once in ${file}`);
  writeFileSync(target, text.replace(find, plant));
  const red = run(tests, patience);
  writeFileSync(target, text);
  return red;
}

/** Names of the tests that fail; of a file that was ended before it could say which, its own. */
function run(tests, patience) {
  const files = tests.flatMap((place) => (place.endsWith('.ts') ? [place] : listTests(place)));
  const args = [
    '--import',
    'tsx',
    '--conditions=source',
    '--test',
    `--test-timeout=${patience}`,
    '--test-reporter=tap',
    ...files,
  ];
  const { stdout } = spawnSync(process.execPath, args, { cwd: copy, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 });
  const failed = [...stdout.matchAll(/^\s*not ok \d+ - (.*)$/gm)].map(([, test]) => test);
  const named = failed.filter((test) => !test.endsWith('.test.ts'));
  return named.length > 0 ? named : failed.map((file) => path.relative(copy, file));
}

function listTests(folder) {
  const { stdout } = spawnSync('git', ['ls-files', folder], { cwd: copy, encoding: 'utf8' });
  return stdout.split('\n').filter((file) => file.endsWith('.test.ts') && !file.endsWith('.peer.test.ts'));
}

function sh(command, args, cwd) {
  const { status } = spawnSync(command, args, { cwd, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed`);
}
