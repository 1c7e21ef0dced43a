import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { protonMissing, run, startProtonBroker, type ProtonBroker } from '@torcello/test-support';
import { message, open, text } from './support/world.js';

const skip = protonMissing('c') ?? protonMissing('python') ?? false;
const script = fileURLToPath(new URL('python/proton_peer.py', import.meta.url));
let broker: ProtonBroker;

before(async () => {
  if (skip === false) broker = await startProtonBroker('c');
});
after(async () => {
  if (skip === false) await broker.stop();
});

function python(role: 'send' | 'receive', address: string, count: number): ReturnType<typeof run> {
  return run('/usr/bin/python3', [script, role, `amqp://127.0.0.1:${broker.port}`, address, String(count)]);
}

test('what Python sends arrives: bytes, text and no body, ids and application properties', { skip }, async () => {
  const sender = python('send', 'from-python', 3);
  await sender.line((line) => line.includes('"done"'));
  const connection = await open(broker.url);
  for (const [at, body] of ['bytes', 'text', ''].entries()) {
    const found = await connection.get({ queue: 'from-python' });
    assert.equal(text(found?.message.body ?? Buffer.from('nothing came')), body);
    const { messageId, correlationId, type } = found?.message.properties ?? {};
    assert.deepEqual([messageId, correlationId, type], [`id-${at}`, String(at), 'kind']);
    assert.deepEqual(found?.message.headers, { text: '☃', number: at, yes: true, half: 0.5 });
    assert.equal(found?.accept(), true);
  }
  await connection.close();
});

test('what we send arrives in Python', { skip }, async () => {
  const connection = await open(broker.url);
  const to = { exchange: '', routingKey: 'to-python' };
  const properties = { messageId: 'm-1', type: 'kind', priority: 7 };
  const headers = { text: '☃', number: 7, yes: true, half: 0.5 };
  await connection.publish(to, message('bytes', { properties, headers, expiresMs: 60_000 }));
  await connection.publish(to, message('text ☃', { bodyAs: 'text', persistent: false }));
  await connection.publish(to, message('', { bodyAs: 'nothing' }));
  const receiver = python('receive', 'to-python', 3);
  await receiver.line((line) => line.includes('"done"'));
  await connection.close();
  const lines = receiver.output().stdout.trim().split('\n');
  const [first, second, third] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(first, {
    body: 'bytes',
    bytes: true,
    id: 'm-1',
    subject: 'kind',
    durable: true,
    properties: headers,
    to: 'to-python',
    ttl: 60,
    priority: 7,
  });
  assert.deepEqual([second?.['body'], second?.['bytes'], second?.['durable']], ['text ☃', false, false]);
  assert.equal(third?.['body'], null);
});
