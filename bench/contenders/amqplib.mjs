import { connect } from 'amqplib';
import { createJobs } from './jobs.mjs';

/** amqplib as its documentation uses it, with no-delay. */
export async function amqplib(url) {
  const connection = await connect(url, { noDelay: true });
  return {
    name: 'amqplib',
    close: () => connection.close(),
    declare: (queue, queueArguments) => declare(connection, queue, queueArguments),
    publisher: (queue, body) => publisher(connection, queue, body),
    consumeAll: (queue, count, credit) => consumeAll(connection, { queue, count, credit }),
    caller: () => caller(connection),
    notifier: () => notifier(connection),
  };
}

async function declare(connection, queue, queueArguments) {
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: true, arguments: queueArguments });
  await channel.close();
}

async function publisher(connection, queue, body) {
  const channel = await connection.createConfirmChannel();
  return () => confirmed((settle) => channel.sendToQueue(queue, body, { persistent: true, mandatory: true }, settle));
}

async function notifier(connection) {
  const channel = await connection.createConfirmChannel();
  const options = { persistent: true, mandatory: true };
  return () => {
    const text = Buffer.from(JSON.stringify({ event_type: 'bench.event', payload: { number: 1 } }));
    return confirmed((settle) => channel.publish('openstack', 'bench-ours.info', text, options, settle));
  };
}

function confirmed(send) {
  return new Promise((resolve, reject) => send((error) => (error ? reject(error) : resolve())));
}

async function consumeAll(connection, { queue, count, credit }) {
  const channel = await connection.createChannel();
  await channel.prefetch(credit);
  const jobs = createJobs(count);
  await channel.consume(queue, (message) => {
    channel.ack(message);
    jobs.done();
  });
  await jobs.all;
  await channel.close();
}

/** RPC by hand, without confirms. */
async function caller(connection) {
  const [served, calling] = [await connection.createChannel(), await connection.createChannel()];
  await served.assertQueue('bench-amqplib', { durable: false });
  await served.consume('bench-amqplib', (message) => {
    const { a, b } = JSON.parse(message.content.toString());
    const answer = Buffer.from(JSON.stringify({ result: a + b }));
    served.sendToQueue(message.properties.replyTo, answer, { correlationId: message.properties.correlationId });
    served.ack(message);
  });
  const { queue } = await calling.assertQueue('', { exclusive: true });
  const waiting = new Map();
  await calling.consume(queue, (message) => {
    const { correlationId } = message.properties;
    waiting.get(correlationId)?.(JSON.parse(message.content.toString()).result);
    waiting.delete(correlationId);
    calling.ack(message);
  });
  let next = 0;
  return () =>
    new Promise((resolve) => {
      next += 1;
      waiting.set(String(next), resolve);
      const content = Buffer.from(JSON.stringify({ a: 1, b: 2 }));
      calling.sendToQueue('bench-amqplib', content, { replyTo: queue, correlationId: String(next) });
    });
}
