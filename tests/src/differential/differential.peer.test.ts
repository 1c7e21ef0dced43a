import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemoryStore, startBroker } from '@torcello/broker';
import { rabbitMqMissing, startRabbitMq } from '@torcello/test-support';
import { compareAll } from './compare.js';
import { deviations } from './deviations.js';
import { permissionScenarios, permissionUsers } from './scenarios/permissions.js';
import { scenarios } from './scenarios/index.js';

const skip = rabbitMqMissing() ?? false;
const all = [...scenarios, ...permissionScenarios];

test('every scenario has a name of its own, and there are more than 600', () => {
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  assert.ok(all.length > 600, `${all.length} scenarios`);
});

test('every deviation stands in docs/protocols/amqp-0-9-1.md', () => {
  const page = readFileSync(new URL('../../../docs/protocols/amqp-0-9-1.md', import.meta.url), 'utf8');
  const text = page.replaceAll(/\s+/g, ' ');
  for (const { why } of deviations.list) assert.ok(text.includes(why), `the page lacks: ${why}`);
  for (const header of deviations.headersLeftOut)
    assert.ok(text.includes(`\`${header}*\``), `the page lacks ${header}`);
});

test('clients see the same of RabbitMQ and of the embedded broker', { skip }, async (t) => {
  const rabbit = await startRabbitMq();
  t.after(() => rabbit.stop());
  const vhost = await rabbit.freshVhost();
  const broker = await startBroker({
    store: new MemoryStore(),
    users: [{ name: 'guest', password: 'guest' }],
    permits: ['transient_nonexcl_queues', 'global_qos'],
  });
  t.after(() => broker.stop());
  await broker.createVhost(vhost);
  const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });
  const users = await permissionUsers({ rabbit, broker, vhost });
  const subjects = { theirs: { port: rabbit.port, vhost, users }, ours: { port, vhost, users } };
  for (const { name, theirs, ours } of await compareAll(all, subjects)) {
    await t.test(name, () => {
      const deviation = deviations.list.find(({ scenarios: names }) => isNamed(names, name));
      if (deviation === undefined) assert.equal(ours, theirs);
      else assert.notEqual(ours, theirs, `the brokers agree by now; take the deviation out: ${deviation.why}`);
    });
  }
});

function isNamed(names: string, name: string): boolean {
  return names.endsWith('*') ? name.startsWith(names.slice(0, -1)) : names === name;
}
