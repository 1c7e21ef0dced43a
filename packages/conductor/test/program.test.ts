import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { freePort, run } from '@torcello/test-support';
import { readOptions } from '../src/options.js';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const program = `import { main } from ${JSON.stringify(main)}; process.exitCode = await main(process.argv.slice(1));`;

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ReturnType<typeof run> {
  const nodeArgs = ['--import', 'tsx', '--conditions=source', '--input-type=module', '-e', program, '--', ...args];
  return run(process.execPath, nodeArgs, { env: { TORCELLO_TRANSPORT: '', ...env } });
}

const wrong: readonly (readonly [readonly string[], RegExp])[] = [
  [[], /no broker is named: give --transport URL, or set TORCELLO_TRANSPORT/],
  [['--transport', 'rabbit://127.0.0.1/'], /give --plan-key FILE/],
  [['--frob'], /Unknown option '--frob'; see --help/],
  [['stray'], /Unexpected argument 'stray'/],
  [['--transport', 'rabbit://h/', '--plan-key', 'k', '--deployments-max', '0'], /--deployments-max takes a number/],
  [['--transport', 'rabbit://h/', '--plan-key', 'k', '--deployments-max', 'ten'], /--deployments-max takes a number/],
];
for (const [args, message] of wrong) {
  test(`the command line "${args.join(' ')}" is refused with one line`, () => {
    assert.throws(
      () => readOptions(args, {}),
      (error) => {
        assert.match((error as Error).message, message);
        assert.equal((error as Error).message.includes('\n'), false);
        return true;
      },
    );
  });
}

test('the transport may come from the environment, and the option goes first', () => {
  const env = { TORCELLO_TRANSPORT: 'rabbit://from-env/' };
  assert.deepEqual(readOptions(['--plan-key', 'k'], env), {
    transport: 'rabbit://from-env/',
    planKey: 'k',
    deploymentsMax: 20,
  });
  const given = readOptions(['--plan-key', 'k', '--transport', 'rabbit://x/', '--deployments-max', '7'], env);
  assert.deepEqual(given, { transport: 'rabbit://x/', planKey: 'k', deploymentsMax: 7 });
});

test('SIGTERM ends the program with 0 also while it still looks for its broker', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'torcello-conductor-'));
  try {
    const url = `rabbit://guest:guest@127.0.0.1:${await freePort()}/`;
    const running = start(['--plan-key', join(folder, 'plan.key')], { TORCELLO_TRANSPORT: url });
    await new Promise<void>((resolve) => running.child.stderr?.once('data', () => resolve()));
    await running.stop('SIGTERM');
    assert.deepEqual(await running.exited, { code: 0, signal: null });
    assert.equal(running.output().stdout, '');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a URL that no driver knows ends the program with 4 and one line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'torcello-conductor-'));
  try {
    const running = start(['--plan-key', join(folder, 'plan.key')], { TORCELLO_TRANSPORT: 'bogus://host/' });
    assert.deepEqual(await running.exited, { code: 4, signal: null });
    assert.match(running.output().stderr, /^torcello-conductor: INVALID_URL: [^\n]*\n$/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
