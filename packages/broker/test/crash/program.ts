import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import process from 'node:process';
import { rolldown } from 'rolldown';
import { run } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';

const source = fileURLToPath(new URL('../support/broker-main.ts', import.meta.url));
/** A file of this run alone: a longer one may be under way. */
const bundle = fileURLToPath(new URL(`../../dist/crash-program-${process.pid}.mjs`, import.meta.url));

/**
 * Bundles the broker's program from source, because thousands of starts are worth it. Answers the file.
 * @param input - another program around it.
 */
export async function bundleBroker(input: string = source): Promise<string> {
  const build = await rolldown({
    input,
    platform: 'node',
    external: ['lmdb'],
    resolve: { conditionNames: ['source', 'import', 'node'], extensionAlias: { '.js': ['.ts', '.js'] } },
  });
  await build.write({ file: bundle, format: 'esm' });
  await build.close();
  process.once('exit', () => rmSync(bundle, { force: true }));
  return bundle;
}

export interface CrashableBroker extends Running {
  readonly amqp: string;
}

export async function startBundled(
  program: string,
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Promise<CrashableBroker> {
  const login = { TORCELLO_BROKER_USER: 'guest', TORCELLO_BROKER_PASSWORD: 'guest', ...env };
  const running = run(process.execPath, [program, '--data', folder, '--port', '0'], { env: login });
  const line = await running.line((text) => text.includes('"ready":true'));
  const { amqp } = JSON.parse(line) as { amqp: string };
  return { ...running, amqp: `amqp://guest:guest@${amqp}` };
}
