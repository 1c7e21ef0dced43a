import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Python's oslo.messaging, in a process of its own that measures its own processor time. */
export function python(url) {
  const script = new URL('../python/oslo_bench.py', import.meta.url).pathname;
  const child = spawn('/usr/bin/python3', [script, url.replace('amqp:', 'rabbit:')], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ready = lines.next();
  return {
    name: 'oslo.messaging',
    close: () => void child.kill('SIGKILL'),

    /** @param command - `{ op: 'rpc' | 'notify', topic, count, outstanding }` */
    async ask(command) {
      await ready;
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const { value } = await lines.next();
      return JSON.parse(value);
    },
  };
}
