import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import { connect } from 'amqplib';
import { rabbitMqMissing, startRabbitMq, temporaryFolder } from '@torcello/test-support';
import { importDefinitions } from '../src/management/definitions.js';
import { policyScenarios } from './policies/scenarios.js';
import type { PolicyRow, PolicyScenario } from './policies/scenarios.js';
import { Observer } from './policies/observer.js';
import { testBroker } from './support/test-broker.js';

const skip = rabbitMqMissing() ?? false;

/** A broker that policies are tried at. */
interface Subject {
  readonly url: string;
  put(policies: readonly PolicyRow[]): Promise<void>;
  clear(): Promise<void>;
}

/** Time for RabbitMQ's queue processes to hear of a policy, in milliseconds: it tells them and waits for none. */
const heardMs = 500;

function definitions(vhost: string, policies: readonly PolicyRow[]): Record<string, unknown> {
  const users = policies.filter(({ isOperator }) => isOperator !== true);
  const operators = policies.filter(({ isOperator }) => isOperator === true);
  const plain = ({ isOperator: _isOperator, name: _name, ...value }: PolicyRow): Record<string, unknown> => ({
    priority: 0,
    ...value,
  });
  return {
    policies: users.map((row) => ({ vhost, name: row.name, ...plain(row) })),
    parameters: operators.map((row) => ({ vhost, component: 'operator_policy', name: row.name, value: plain(row) })),
  };
}

async function theirs(t: TestContext): Promise<Subject> {
  const rabbit = await startRabbitMq();
  t.after(() => rabbit.stop());
  const folder = temporaryFolder('policies');
  t.after(() => folder.remove());
  const vhost = await rabbit.freshVhost();
  const file = join(folder.path, 'policies.json');
  return {
    url: rabbit.url(vhost),
    put: async (policies) => {
      writeFileSync(file, JSON.stringify(definitions(vhost, policies)));
      await rabbit.control('import_definitions', file);
      await pause(heardMs);
    },
    clear: async () => {
      const all = `[rabbit_policy:DELETE(<<"${vhost}">>, proplists:get_value(name, P), <<"t">>) || P <- rabbit_policy:LIST(<<"${vhost}">>)]`;
      const policies = all.replace('DELETE', 'delete').replace('LIST', 'list');
      const operators = all.replace('DELETE', 'delete_op').replace('LIST', 'list_op');
      await rabbit.control('eval', `${policies}, ${operators}, ok.`);
      await pause(heardMs);
    },
  };
}

async function ours(t: TestContext): Promise<Subject> {
  const { url, broker } = await testBroker(t);
  const vhost = broker.vhosts.get('/');
  assert.ok(vhost !== undefined, 'the default virtual host');
  return {
    url,
    put: (policies) => importDefinitions(broker, definitions('/', policies)),
    clear: () => {
      for (const kind of ['policy', 'operator_policy'] as const) {
        for (const { name } of [...vhost.policies(kind)]) vhost.deletePolicy(kind, name);
      }
      return Promise.resolve();
    },
  };
}

/** What each scenario saw, under its name: before any policy, with the first ones, with the second ones, and after. */
async function observe(subject: Subject): Promise<Record<string, readonly string[]>> {
  const connection = await connect(subject.url);
  const observers = policyScenarios.map((scenario) => ({ scenario, observer: new Observer(connection, scenario.key) }));
  const all = (which: 'first' | 'second'): readonly PolicyRow[] =>
    policyScenarios.flatMap((scenario) => (scenario[which] ?? []).map((row) => named(scenario, row)));
  const take = async (step: 'before' | 'withFirst' | 'withSecond' | 'after'): Promise<void> => {
    await Promise.all(
      observers.map(async ({ scenario, observer }) => {
        await scenario[step]?.(observer);
      }),
    );
  };
  await take('before');
  await subject.put(all('first'));
  await take('withFirst');
  await subject.put(all('second'));
  await take('withSecond');
  await subject.clear();
  await take('after');
  await connection.close();
  return Object.fromEntries(observers.map(({ scenario, observer }) => [scenario.name, observer.seen]));
}

/** Policies of one scenario touch its own names only. */
function named({ key }: PolicyScenario, row: PolicyRow): PolicyRow {
  const values = Object.entries(row.definition).map(
    ([name, value]) => [name, typeof value === 'string' ? value.replace('~', key) : value] as const,
  );
  const pattern = row.pattern.replaceAll('~', key);
  return { ...row, name: `${key}-${row.name}`, pattern, definition: Object.fromEntries(values) };
}

test('policies mean the same here and on RabbitMQ, also when they change and go', { skip }, async (t) => {
  const [here, there] = [await observe(await ours(t)), await observe(await theirs(t))];
  for (const { name } of policyScenarios) {
    await t.test(name, () => assert.deepEqual(here[name], there[name]));
  }
});
