import { createConnection } from 'node:net';
import { decodeProperties, FrameReader, FrameWriter } from '../../packages/amqp091/dist/src/index.js';
import { createJobs } from './jobs.mjs';

/**
 * The floor: nothing but the codec and a socket. Confirms are counted, not matched; nothing is checked, kept or retried.
 */
export async function codec(url) {
  const wire = new Wire(new URL(url).port);
  await login(wire, new URL(url));
  return {
    name: 'codec',
    close: () => void wire.socket.destroy(),
    publisher: (queue, body) => publisher(wire, queue, body),
    consumeAll: (queue, count, credit) => consumeAll(wire, { queue, count, credit }),
  };
}

/** Calls over two connections, one that asks and one that answers: nothing is confirmed, deliveries are settled at once. */
export async function caller(url) {
  const [client, server] = await Promise.all([subscribed(url), subscribed(url)]);
  server.wire.onContent = ({ replyTo, correlationId }, body) => server.publish(replyTo, { correlationId }, body);
  const waiting = new Map();
  client.wire.onContent = ({ correlationId }) => {
    waiting.get(correlationId)();
    waiting.delete(correlationId);
  };
  const body = Buffer.alloc(256, 'x');
  let last = 0;
  const call = () =>
    new Promise((resolve) => {
      last += 1;
      const correlationId = String(last);
      waiting.set(correlationId, resolve);
      client.publish(server.queue, { correlationId, replyTo: client.queue }, body);
    });
  const end = () => {
    client.wire.socket.destroy();
    server.wire.socket.destroy();
  };
  return { call, end };
}

async function subscribed(url) {
  const wire = new Wire(new URL(url).port);
  await login(wire, new URL(url));
  await wire.ask(1, { name: 'channel.open' }, 'channel.open-ok');
  const { queue } = await wire.ask(1, { name: 'queue.declare', queue: '', exclusive: true }, 'queue.declare-ok');
  await wire.ask(1, { name: 'basic.consume', queue, consumerTag: 'caller', noAck: true }, 'basic.consume-ok');
  const publish = (routingKey, properties, body) => {
    wire.writer.content(1, { name: 'basic.publish', exchange: '', routingKey }, { properties, body });
    wire.flushSoon();
  };
  return { wire, queue, publish };
}

/** Frames in and out; what is written in one turn leaves together. */
class Wire {
  writer = new FrameWriter();
  socket;
  onMethod = () => undefined;
  /** Properties and body of a delivery whose body came in one frame. */
  onContent = undefined;
  #properties = {};
  #onAnswer = () => undefined;
  #isPlanned = false;

  constructor(port) {
    const reader = new FrameReader({ role: 'client' });
    this.socket = createConnection({ host: '127.0.0.1', port: Number(port), noDelay: true });
    this.socket.on('data', (chunk) => {
      reader.push(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        this.#handle(frame);
      }
    });
  }

  #handle(frame) {
    if (frame.type === 'method') {
      this.#onAnswer(frame.method);
      this.onMethod(frame.method);
    }
    if (this.onContent === undefined) return;
    if (frame.type === 'header') this.#properties = decodeProperties(frame.propertyBytes);
    if (frame.type === 'body') this.onContent(this.#properties, frame.payload);
  }

  flushSoon(before = () => undefined) {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => {
      this.#isPlanned = false;
      before();
      for (const chunk of this.writer.take()) this.socket.write(chunk);
    });
  }

  ask(channel, method, answer) {
    if (method === undefined) this.writer.protocolHeader();
    else this.writer.method(channel, method);
    this.flushSoon();
    return new Promise((resolve) => (this.#onAnswer = (got) => got.name === answer && resolve(got)));
  }
}

async function login(wire, { username, password }) {
  await wire.ask(0, undefined, 'connection.start');
  const response = Buffer.from(`\0${username}\0${password}`);
  const who = { mechanism: 'PLAIN', response, locale: 'en_US', clientProperties: {} };
  const { frameMax, channelMax } = await wire.ask(0, { name: 'connection.start-ok', ...who }, 'connection.tune');
  wire.writer.method(0, { name: 'connection.tune-ok', channelMax, frameMax, heartbeat: 0 });
  await wire.ask(0, { name: 'connection.open', virtualHost: '/' }, 'connection.open-ok');
}

async function publisher(wire, queue, body) {
  await wire.ask(1, { name: 'channel.open' }, 'channel.open-ok');
  await wire.ask(1, { name: 'confirm.select' }, 'confirm.select-ok');
  const waiting = [];
  let confirmed = 0;
  wire.onMethod = ({ name, deliveryTag }) => {
    if (name !== 'basic.ack') return;
    for (; confirmed < deliveryTag && waiting.length > 0; confirmed += 1) waiting.shift()();
  };
  const method = { name: 'basic.publish', exchange: '', routingKey: queue, mandatory: true };
  const content = { properties: { deliveryMode: 2 }, body };
  return () => {
    wire.writer.content(1, method, content);
    wire.flushSoon();
    return new Promise((resolve) => waiting.push(resolve));
  };
}

async function consumeAll(wire, { queue, count, credit }) {
  await wire.ask(2, { name: 'channel.open' }, 'channel.open-ok');
  await wire.ask(2, { name: 'basic.qos', prefetchSize: 0, prefetchCount: credit }, 'basic.qos-ok');
  const jobs = createJobs(count);
  let latest = 0;
  const acknowledge = () => wire.writer.method(2, { name: 'basic.ack', deliveryTag: latest, multiple: true });
  wire.onMethod = ({ name, deliveryTag }) => {
    if (name !== 'basic.deliver') return;
    latest = deliveryTag;
    wire.flushSoon(acknowledge);
    jobs.done();
  };
  await wire.ask(2, { name: 'basic.consume', queue, consumerTag: 'floor' }, 'basic.consume-ok');
  await jobs.all;
  wire.onMethod = () => undefined;
  await new Promise((resolve) => setImmediate(resolve));
  const goodbye = { name: 'channel.close', replyCode: 200, replyText: 'done', classId: 0, methodId: 0 };
  await wire.ask(2, goodbye, 'channel.close-ok');
}
