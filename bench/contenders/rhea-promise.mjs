import { createRequire } from 'node:module';
import { createJobs } from './jobs.mjs';

const require = createRequire(new URL('../../packages/driver-amqp10/package.json', import.meta.url));
const { Connection } = require('rhea-promise');

/** rhea-promise as Azure's libraries use it: an awaitable sender, a receiver with a credit window. */
export async function rheaPromise({ port, login }) {
  const [username, password] = login ?? [];
  const connection = new Connection({
    host: '127.0.0.1',
    port,
    reconnect: false,
    ...(username === undefined ? { username: 'anonymous' } : { username, password }),
  });
  await connection.open();
  return {
    name: 'rhea-promise',
    close: () => connection.close(),

    async publisher(address, body) {
      const sender = await connection.createAwaitableSender({ target: { address } });
      let hasRoom = Promise.resolve();
      const untilRoom = () =>
        new Promise((resolve) => sender.once('sendable', resolve)).then(() => sender.sendable() || untilRoom());
      // Without credit it rejects at once: whoever uses it has to wait.
      return async () => {
        while (!sender.sendable()) {
          hasRoom = hasRoom.then(() => sender.sendable() || untilRoom());
          await hasRoom;
        }
        return sender.send({ body, durable: true });
      };
    },

    async consumeAll(address, count, credit) {
      const jobs = createJobs(count);
      const receiver = await connection.createReceiver({
        source: { address },
        credit_window: credit,
        autoaccept: false,
        onError: ({ receiver: failed }) => console.error(failed?.error),
        onMessage: ({ delivery }) => {
          delivery.accept();
          jobs.done();
        },
      });
      await jobs.all;
      await receiver.close();
    },
  };
}
