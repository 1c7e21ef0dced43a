import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before } from 'node:test';
import { promisify } from 'node:util';
import type { RabbitMq } from '@torcello/test-support';
import { rabbitTest, startFresh } from './support/rabbit.js';
import { mailbox, message, open, text } from './support/world.js';

let rabbit: RabbitMq | undefined;
let url: string;
before(async () => {
  const fresh = await startFresh();
  rabbit = fresh?.rabbit;
  url = fresh?.url ?? '';
});
after(() => rabbit?.stop());

/** Runs a program with Debian's Python, where pika and py-amqp are installed. */
async function python(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-c', program, ...args]);
  return stdout.trim();
}

const headersOfPython = `{'small': 5, 'big': 3000000000, 'huge': 2**62, 'negative': -7, 'yes': True, 'none': None, 'text': 'ü', 'bytes': b'\\xff\\x00', 'list': [1, 'a', {'b': 2}], 'table': {'c': {'d': 'e'}}}`;
const headersOfOurs = {
  small: 5,
  big: 3_000_000_000,
  huge: 2n ** 62n,
  negative: -7,
  yes: true,
  none: null,
  text: 'ü',
  bytes: Uint8Array.of(0xff, 0),
  list: [1, 'a', { b: 2 }],
  table: { c: { d: 'e' } },
};

const senders = {
  pika: `
import pika, sys
connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
channel = connection.channel()
channel.confirm_delivery()
channel.basic_publish('', sys.argv[2], b'hello', pika.BasicProperties(content_type='text/plain', priority=4, headers=${headersOfPython}), mandatory=True)
connection.close()`,
  kombu: `
import kombu, sys
with kombu.Connection(sys.argv[1].replace('amqp://', 'pyamqp://')) as connection:
    connection.Producer().publish(b'hello', routing_key=sys.argv[2], content_type='text/plain', content_encoding='binary', priority=4, headers=${headersOfPython})`,
};

for (const [name, program] of Object.entries(senders)) {
  rabbitTest(`what ${name} sends is read as it was meant`, async () => {
    const connection = await open(url);
    const queue = `from-${name}`;
    await connection.ensure(mailbox(queue));
    await python(program, url, queue);
    const delivery = await connection.get({ queue });
    assert.deepEqual(delivery?.message.headers, headersOfOurs);
    assert.equal(text(delivery?.message.body ?? new Uint8Array(0)), 'hello');
    assert.equal(delivery?.message.properties.contentType, 'text/plain');
    assert.equal(delivery?.message.properties.priority, 4);
    delivery?.accept();
    await connection.close();
  });
}

const readers = {
  pika: `
import pika, sys
connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
method, properties, body = connection.channel().basic_get(sys.argv[2], auto_ack=True)
properties.headers.pop('x-delivery-count', None)
print(properties.headers == ${headersOfPython}, body, properties.message_id, properties.delivery_mode)`,
  kombu: `
import kombu, sys
with kombu.Connection(sys.argv[1].replace('amqp://', 'pyamqp://')) as connection:
    message = connection.default_channel.basic_get(sys.argv[2], no_ack=True)
    message.headers.pop('x-delivery-count', None)
    print(message.headers == ${headersOfPython}, bytes(message.body), message.properties['message_id'], message.properties['delivery_mode'])`,
};

for (const [name, program] of Object.entries(readers)) {
  rabbitTest(`${name} reads what we send as it was meant`, async () => {
    const connection = await open(url);
    const queue = `to-${name}`;
    await connection.ensure(mailbox(queue));
    const outgoing = message('hello', { headers: headersOfOurs, properties: { messageId: 'm1' } });
    await connection.publish({ exchange: '', routingKey: queue }, outgoing);
    assert.equal(await python(program, url, queue), `True b'hello' m1 2`);
    await connection.close();
  });
}
