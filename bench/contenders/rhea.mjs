import { createRequire } from 'node:module';
import { createJobs } from './jobs.mjs';

const require = createRequire(new URL('../../packages/driver-amqp10/package.json', import.meta.url));
const rhea = require('rhea');

/** The naked engine: events and no promise but one for each outcome. The floor under everything that stands on it. */
export async function plainRhea({ port, login }) {
  const [username, password] = login ?? ['anonymous'];
  const container = rhea.create_container();
  const connection = container.connect({ host: '127.0.0.1', port, username, password, reconnect: false });
  await new Promise((resolve) => connection.once('connection_open', resolve));
  return {
    name: 'rhea',
    close: () =>
      new Promise((resolve) => {
        connection.once('connection_close', resolve);
        connection.close();
      }),

    async publisher(address, body) {
      const session = connection.create_session();
      session.begin();
      const sender = session.attach_sender({ target: { address } });
      const waiting = new Map();
      sender.on('accepted', ({ delivery }) => {
        waiting.get(delivery.id)?.();
        waiting.delete(delivery.id);
      });
      await new Promise((resolve) => sender.once('sendable', resolve));
      const queued = [];
      const flush = () => {
        while (queued.length > 0 && sender.sendable()) {
          waiting.set(sender.send({ body, durable: true }).id, queued.shift());
        }
      };
      sender.on('sendable', flush);
      return () =>
        new Promise((resolve) => {
          queued.push(resolve);
          flush();
        });
    },

    async consumeAll(address, count, credit) {
      const jobs = createJobs(count);
      const receiver = connection.open_receiver({ source: { address }, credit_window: credit, autoaccept: false });
      receiver.on('message', ({ delivery }) => {
        delivery.accept();
        jobs.done();
      });
      await jobs.all;
      receiver.close();
      await new Promise((resolve) => receiver.once('receiver_close', resolve));
    },
  };
}
