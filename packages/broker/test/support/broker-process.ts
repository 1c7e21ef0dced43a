import { fileURLToPath } from 'node:url';
import process from 'node:process';
import type { TestContext } from 'node:test';
import { run } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';

const program = fileURLToPath(new URL('./broker-main.ts', import.meta.url));

export interface BrokerProcess extends Running {
  readonly amqp: string;
  readonly management: string;
}

/** The broker's program with these arguments, from source. */
export function runBroker(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  return run(process.execPath, ['--import', 'tsx', '--conditions=source', program, ...args], { env });
}

/** A broker process that listens on ports of its own; user and password are guest. It does not outlive the test. */
export async function startBrokerProcess(
  test: TestContext,
  folder: string,
  options: readonly string[] = [],
): Promise<BrokerProcess> {
  const login = { TORCELLO_BROKER_USER: 'guest', TORCELLO_BROKER_PASSWORD: 'guest' };
  const running = runBroker(['--data', folder, '--port', '0', ...options], login);
  test.after(() => running.stop('SIGKILL'));
  const line = await running.line((text) => text.includes('"ready":true'));
  const { amqp, management } = JSON.parse(line) as { amqp: string; management: string };
  return { ...running, amqp: `amqp://guest:guest@${amqp}`, management };
}
