import { createConnection } from 'node:net';
import { FrameReader, FrameWriter } from '../../packages/amqp091/dist/src/index.js';
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

/** Frames in and out; what is written in one turn leaves together. */
class Wire {
  writer = new FrameWriter();
  socket;
  onMethod = () => undefined;
  #onAnswer = () => undefined;
  #isPlanned = false;

  constructor(port) {
    const reader = new FrameReader({ role: 'client' });
    this.socket = createConnection({ host: '127.0.0.1', port: Number(port), noDelay: true });
    this.socket.on('data', (chunk) => {
      reader.push(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        if (frame.type !== 'method') continue;
        this.#onAnswer(frame.method);
        this.onMethod(frame.method);
      }
    });
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
