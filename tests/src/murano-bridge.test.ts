import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { connect, rpcClient, rpcServer } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import type { Service } from '@torcello/platform';
import { run } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';
import { until } from './support/ledger-fleet.js';
import { writeLedgerPackage } from './support/ledger-package.js';
import { startStack } from './support/stack.js';
import type { Stack } from './support/stack.js';
import { root } from './tidy/sources.js';
import { zipFolder } from './support/zip-folder.js';

/**
 * The bridge in the place of murano-engine. Tasks are those of a real murano-api (captured), put on the wire in the same
 * envelope; what comes back is read as murano-api reads it.
 */

const environmentId = '92af20c322584f8ab4644333543aaba8';

interface Result {
  readonly environment_id: string;
  readonly result: {
    readonly action: { readonly result: { readonly message: string } | null; readonly isException: boolean };
    readonly model: { readonly Objects: unknown; readonly ObjectsCopy: unknown };
  };
}

function taskOf(application: object): Record<string, unknown> {
  const environment = {
    '?': { id: environmentId, type: 'io.murano.Environment', metadata: {} },
    name: 'shop',
    defaultNetworks: { environment: null, flat: null },
    applications: [application],
  };
  return {
    action: { object_id: environmentId, method: 'deploy', args: {} },
    model: { Objects: environment, Attributes: [], project_id: 'tenant1', user_id: 'user1' },
    token: 'user1:tenant1:admin',
    project_id: 'tenant1',
    user_id: 'user1',
    id: environmentId,
  };
}

/** As a real murano-api sent it. */
const muranoPl = {
  '?': { id: '03b78b27a6594377b702cee9aaecb243', type: 'io.test.LocalApp', name: 'hello app' },
  who: 'world',
  instance: { '?': { id: 'f14a23246bf649ecbbb4e60cbb49d8db', type: 'io.test.LocalInstance' }, name: 'vm1' },
};

describe('the bridge in the place of murano-engine', () => {
  let stack: Stack;
  let transport: Transport;
  let results: Service;
  let broker = '';
  const programs: Running[] = [];
  const got: Result[] = [];
  const reports: string[] = [];

  before(async () => {
    stack = await startStack();
    broker = stack.brokerUrl();
    const source = path.join(stack.folder, 'package');
    for (const folder of [source, path.join(stack.folder, 'ledger')]) mkdirSync(folder);
    writeLedgerPackage(source, { steps: 1 });
    await stack.request('POST', '/v1/catalog/packages', zipFolder(source));
    await stack.conductor();
    transport = await connect(broker, { drivers: [amqp091Driver()] });
    const process_result = (args: object): null => (got.push(args as Result), null);
    results = rpcServer(transport, { exchange: 'murano', topic: 'results', server: 'api' }, [
      { methods: { process_result } },
    ]);
    await results.start();
    await transport.ensure({
      kind: 'shared',
      source: { queue: 'murano.info' },
      reachedBy: [{ exchange: 'openstack', routingKey: 'murano.info' }],
      options: {},
    });
    await transport.consume(
      { queue: 'murano.info' },
      {
        credit: 10,
        onDelivery: (delivery) => {
          reports.push(new TextDecoder().decode(delivery.message.body));
          delivery.accept();
        },
      },
    );
  });

  after(async () => {
    await Promise.all(programs.map((program) => program.stop('SIGKILL')));
    await results?.stop();
    await transport?.close();
    await stack?.stop();
  });

  async function startBridge(): Promise<Running> {
    const { url, token } = stack.server();
    const bin = path.join(root, 'packages/conductor/bin/torcello-murano-bridge.js');
    const env = { TORCELLO_TRANSPORT: broker, TORCELLO_TOKEN: token };
    const program = run(process.execPath, [bin, '--api', url], { env });
    programs.push(program);
    await program.line((line) => line === '{"ready":true}');
    return program;
  }

  async function hand(task: object): Promise<void> {
    await rpcClient(transport, { exchange: 'murano', topic: 'tasks' }).cast('handle_task', { task });
  }

  const resultNumber = async (count: number): Promise<Result> => {
    await until(
      () => Promise.resolve(got.length),
      (length) => length >= count,
    );
    return got[count - 1] ?? assert.fail();
  };

  test('what it cannot run is a failed deployment that says why, with a report of an error', async () => {
    await startBridge();
    await hand(taskOf(muranoPl));
    const { environment_id: id, result } = await resultNumber(1);
    assert.deepEqual([id, result.action.isException], [environmentId, true]);
    assert.match(result.action.result?.message ?? '', /"instance" holds an object of MuranoPL, which is not run here/);
    assert.notEqual(result.model.Objects, null);
    await until(
      () => Promise.resolve(reports.join('\n')),
      (text) => text.includes('MuranoPL, which is not run here'),
    );
    assert.match(reports.join('\n'), /murano\.report_notification/);
    await hand(taskOf({ '?': { id: 'a'.repeat(32), type: 'io.test.Unknown' } }));
    assert.match((await resultNumber(2)).result.action.result?.message ?? '', /there is no package io\.test\.Unknown/);
  });

  test('a task is carried out, also when the bridge dies in the middle: another one goes on', async () => {
    const ledger = path.join(stack.folder, 'ledger');
    const application = { '?': { id: 'b'.repeat(32), type: 'test.Ledger/1.0.0@test.Ledger' }, ledger };
    await hand(taskOf(application));
    const machines = await until(
      async () => {
        try {
          const route = `/v1/environments/murano-${environmentId}/deployments`;
          const { deployments } = await stack.request<{ deployments: readonly unknown[] }>('GET', route);
          return deployments.length;
        } catch {
          return 0;
        }
      },
      (count) => count > 0,
    );
    assert.equal(machines, 1);
    await programs[0]?.stop('SIGKILL');
    await startBridge();
    const list = `/v1/environments/murano-${environmentId}/machines`;
    const [machine] = (await stack.request<{ machines: readonly { id: string }[] }>('GET', list)).machines;
    const line = await stack.request<{ joinLine: string }>('POST', `/v1/machines/${machine?.id ?? ''}/join-line`);
    await stack.agent('one', line.joinLine);
    const { result } = await resultNumber(3);
    assert.equal(result.action.isException, false, JSON.stringify(result.action));
    assert.match(reports.join('\n'), /waits for its agent: torcello machine join-line/);
  });

  test('a delete destroys, and answers in the way that makes murano-api forget the environment', async () => {
    await hand({ ...taskOf(muranoPl), action: null, model: { Objects: null, ObjectsCopy: {}, Attributes: [] } });
    const { result } = await resultNumber(4);
    assert.deepEqual([result.action.isException, result.model.Objects, result.model.ObjectsCopy], [false, null, null]);
    await assert.rejects(stack.request('GET', `/v1/environments/murano-${environmentId}`), /404/);
  });
});
