/**
 * `npm run bench -- idle [--json]`: the heap of a client that is connected and does nothing, with an RPC server, a client that
 * has called once and a notification listener open. Needs a build and RabbitMQ.
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { startRabbitMq } from '../packages/test-support/dist/src/index.js';

const program = `
  import { amqp091Driver } from '@torcello/driver-amqp091';
  import { connect, notificationListener, rpcClient, rpcServer } from '@torcello/messaging';
  const transport = await connect(process.argv[1], { drivers: [amqp091Driver()] });
  await rpcServer(transport, { topic: 'idle', server: 'one' }, [{ methods: { add: ({ a, b }) => a + b } }]).start();
  await rpcClient(transport, { topic: 'idle' }).call('add', { a: 1, b: 2 });
  await notificationListener(transport, [{ topic: 'idle-events' }], [{ info: () => undefined }]).start();
  gc();
  console.log(process.memoryUsage().heapUsed);
  process.exit(0);
`;

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, rounds: { type: 'string' } },
  allowPositionals: true,
});
const rabbit = await startRabbitMq({ own: true });
try {
  const nodeArguments = ['--expose-gc', '--input-type=module', '-e', program, rabbit.url()];
  const cwd = new URL('..', import.meta.url).pathname;
  const heapBytes = Number(execFileSync(process.execPath, nodeArguments, { cwd, encoding: 'utf8' }).trim());
  const megabytes = Math.round(heapBytes / 1e5) / 10;
  console.log(
    values.json ? JSON.stringify({ case: 'idle client, heap', megabytes }) : `idle client: ${megabytes} MB of heap`,
  );
} finally {
  await rabbit.stop();
}
