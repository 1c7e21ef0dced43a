import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { connect } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import { rabbitMqMissing, run, startRabbitMq } from '@torcello/test-support';
import type { RabbitMq, Running } from '@torcello/test-support';
import { strToU8, zipSync } from 'fflate';
import { until } from './support/ledger-fleet.js';
import { readLedger, writeLedgerPackage } from './support/ledger-package.js';
import { MuranoApi, muranoApiMissing } from './support/murano-api.js';
import { startStack } from './support/stack.js';
import type { Stack } from './support/stack.js';
import { zipFolder } from './support/zip-folder.js';
import { root } from './tidy/sources.js';

/**
 * Debian's real murano-api hands its tasks to our bridge: what Torcello makes of them stands in murano-api's own database,
 * as the `murano` command shows it, with kill -9 of bridge and murano-api in the middle.
 */

const missing = muranoApiMissing() ?? rabbitMqMissing();
if (missing !== undefined) console.error(`NOT TESTED with the real murano-api: ${missing}`);

const failing = zipSync({
  'manifest.yaml': strToU8(
    'Format: Torcello/1.0\nType: Application\nFullName: test.Fails\nName: Fails\nVersion: 1.0.0\n',
  ),
  'application.yaml': strToU8(
    `machines: { node: { min: 1 } }
deploy: [{ role: node, steps: [{ name: fails, command: [sh, -c, "exit 9"] }] }]
destroy: [{ role: node, steps: [{ name: stays, command: [sh, -c, "exit 3"] }] }]
`,
  ),
});

/** Murano's broker, our stack with a bridge between the two, and a real murano-api. */
class BridgedMurano {
  readonly stack: Stack;
  readonly api: MuranoApi;
  readonly ledger: string;
  readonly #broker: string;
  #bridge: Running | undefined;

  private constructor(parts: { readonly stack: Stack; readonly api: MuranoApi; readonly broker: string }) {
    this.stack = parts.stack;
    this.api = parts.api;
    this.#broker = parts.broker;
    this.ledger = path.join(parts.stack.folder, 'ledger');
  }

  /** @param broker - Murano's, with its default flags; default: the one that the stack has anyway, all durable. */
  static async start(broker?: string): Promise<BridgedMurano> {
    // Fanout queues of oslo.messaging are transient whatever is set.
    const stack = await startStack({ brokerArguments: ['--permit', 'transient_nonexcl_queues'] });
    try {
      return await BridgedMurano.#startOn(stack, broker);
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  static async #startOn(stack: Stack, broker: string | undefined): Promise<BridgedMurano> {
    const areQueuesDurable = broker === undefined;
    const address = broker ?? stack.brokerUrl();
    const api = await MuranoApi.start(address.replace('amqp://', 'rabbit://'), areQueuesDurable);
    const flags = `?amqp_durable_queues=${String(areQueuesDurable)}`;
    const made = new BridgedMurano({ stack, api, broker: `${address}${flags}` });
    const source = path.join(stack.folder, 'package');
    for (const folder of [source, made.ledger]) mkdirSync(folder);
    writeLedgerPackage(source, { steps: 2 });
    await stack.request('POST', '/v1/catalog/packages', zipFolder(source));
    await stack.request('POST', '/v1/catalog/packages', failing);
    await stack.conductor();
    await made.startBridge().catch(async (error: unknown) => {
      await api.stop();
      throw error;
    });
    return made;
  }

  async stop(): Promise<void> {
    await this.#bridge?.stop('SIGKILL');
    await this.api.stop();
    await this.stack.stop();
  }

  async startBridge(): Promise<void> {
    const { url, token } = this.stack.server();
    const bin = path.join(root, 'packages/conductor/bin/torcello-murano-bridge.js');
    const env = { TORCELLO_TRANSPORT: this.#broker, TORCELLO_TOKEN: token };
    this.#bridge = run(process.execPath, [bin, '--api', url], { env });
    await this.#bridge.line((line) => line === '{"ready":true}');
  }

  async killBridge(): Promise<void> {
    await this.#bridge?.stop('SIGKILL');
  }

  ledgerApplication(): object {
    return { '?': { id: 'b'.repeat(32), type: 'test.Ledger', name: 'ledger' }, ledger: this.ledger };
  }

  /** Deployments that Torcello had for an environment of Murano's, newest first. */
  async deployments(
    environment: string,
  ): Promise<readonly { readonly id: string; readonly finished: string | null }[]> {
    try {
      const route = `/v1/environments/murano-${environment}/deployments`;
      return (
        await this.stack.request<{ deployments: readonly { id: string; finished: string | null }[] }>('GET', route)
      ).deployments;
    } catch {
      return [];
    }
  }

  async begun(environment: string): Promise<void> {
    await until(
      () => this.deployments(environment),
      (list) => list.length > 0,
    );
  }

  /** Gives the one machine of the environment its agent. */
  async startAgent(environment: string): Promise<void> {
    await this.begun(environment);
    const list = `/v1/environments/murano-${environment}/machines`;
    const { machines } = await this.stack.request<{ machines: readonly { id: string }[] }>('GET', list);
    assert.equal(machines.length, 1);
    const line = await this.stack.request<{ joinLine: string }>(
      'POST',
      `/v1/machines/${machines[0]?.id ?? ''}/join-line`,
    );
    await this.stack.agent(environment, line.joinLine);
  }

  /** How often each step ran. */
  runs(): readonly number[] {
    return [...readLedger(this.ledger).values()];
  }
}

describe('the bridge under a real murano-api, over RabbitMQ', { skip: missing ?? false }, () => {
  let rabbit: RabbitMq;
  let murano: BridgedMurano;
  let transport: Transport;
  /** Tasks as they were on the wire. */
  const tasks: Uint8Array[] = [];
  let shop = '';
  let vhost = '';

  before(async () => {
    rabbit = await startRabbitMq();
    vhost = await rabbit.freshVhost();
    const broker = rabbit.url(vhost);
    murano = await BridgedMurano.start(broker);
    transport = await connect(`${broker}?amqp_durable_queues=false`, { drivers: [amqp091Driver()] });
    const queue = 'listens-in';
    const reachedBy = [{ exchange: 'murano', routingKey: 'tasks' }];
    await transport.ensure({ kind: 'shared', source: { queue }, reachedBy, options: {} });
    const onDelivery = (delivery: { message: { body: Uint8Array }; accept: () => void }): void => {
      tasks.push(delivery.message.body);
      delivery.accept();
    };
    await transport.consume({ queue }, { credit: 10, onDelivery });
  });

  after(async () => {
    await transport?.close();
    await murano?.stop();
    await rabbit?.stop();
  });

  test('an environment deployed with the murano command is ready, whoever is killed meanwhile, and nothing ran twice', async () => {
    const { api, stack } = murano;
    const idIn = (text: string): string => /\b[0-9a-f]{32}\b/.exec(text)?.[0] ?? assert.fail(text);
    shop = idIn(await api.command('environment-create', 'shop'));
    const session = idIn(await api.command('environment-session-create', shop));
    const edit = path.join(stack.folder, 'edit.json');
    writeFileSync(edit, JSON.stringify([{ op: 'add', path: '/-', value: murano.ledgerApplication() }]));
    await api.command('environment-apps-edit', '--session-id', session, shop, edit);
    assert.match(await api.command('environment-deploy', '--session-id', session, shop), /deploying/);
    await murano.begun(shop);
    await murano.killBridge();
    await murano.startBridge();
    // Nobody is there to take the result, and the bridge that had it is gone.
    await api.kill();
    await murano.startAgent(shop);
    await until(
      () => murano.deployments(shop),
      ([newest]) => newest?.finished !== null,
    );
    await murano.killBridge();
    await Promise.all([murano.startBridge(), api.restart()]);
    assert.equal(await api.ended(shop), 'ready');
    assert.match(await api.command('deployment-list', shop), /\| success +\|/);
    const reports = (await api.reports(shop)).map(({ text }) => text).join('\n');
    assert.match(reports, /waits for its agent: torcello machine join-line[^]*Deployment finished$/);
    assert.equal((await murano.deployments(shop)).length, 1);
    assert.deepEqual(murano.runs(), [1, 1]);
  });

  test('a task whose result murano-api has already is done with: nothing is deployed again', async () => {
    assert.equal(tasks.length, 1);
    await murano.killBridge();
    await transport.publish(
      { exchange: 'murano', routingKey: 'tasks' },
      {
        body: tasks[0] ?? assert.fail(),
        headers: {},
        properties: { contentType: 'application/json', contentEncoding: 'utf-8' },
        persistent: true,
        ifNobody: 'fail',
      },
    );
    await murano.startBridge();
    await until(
      async () => rabbitTasks(),
      (left) => left === '0 0',
    );
    assert.equal(await murano.api.status(shop), 'ready');
    assert.equal((await murano.deployments(shop)).length, 1);
  });

  async function rabbitTasks(): Promise<string> {
    const list = await rabbit.control(
      'list_queues',
      '-q',
      '-p',
      vhost,
      'name',
      'messages_ready',
      'messages_unacknowledged',
    );
    return /^tasks\t(\d+)\t(\d+)$/m.exec(list)?.slice(1).join(' ') ?? '';
  }

  test('a failing application is a failed deployment with the reason, and can be deployed anew', async () => {
    const { api } = murano;
    const { id, session } = await api.staged('fails', { '?': { id: 'c'.repeat(32), type: 'test.Fails' } });
    await api.deploy(id, session);
    await murano.startAgent(id);
    assert.equal(await api.ended(id), 'deploy failure');
    const errors = (await api.reports(id)).filter(({ level }) => level === 'error');
    assert.match(errors.map(({ text }) => text).join('\n'), /fails.*9|exit/);
    const other = await api.request<{ id: string }>('POST', `/v1/environments/${id}/configure`);
    await api.deploy(id, other.id);
    assert.equal(await api.ended(id), 'deploy failure');
    assert.equal((await murano.deployments(id)).length, 2);
    // What cannot be destroyed is still there for murano-api.
    await api.request('DELETE', `/v1/environments/${id}`);
    assert.equal(await api.ended(id), 'delete failure');
    assert.equal((await murano.deployments(id)).length, 3);
  });

  test('what is MuranoPL fails with the reason: applications, static actions, schemas of classes', async () => {
    const { api } = murano;
    const instance = { '?': { id: 'e'.repeat(32), type: 'io.murano.resources.Instance' }, name: 'vm' };
    const { id, session } = await api.staged('murano-pl', { '?': { id: 'd'.repeat(32), type: 'io.App' }, instance });
    await api.deploy(id, session);
    assert.equal(await api.ended(id), 'deploy failure');
    const reports = (await api.reports(id)).map(({ text, level }) => `${level}: ${text}`).join('\n');
    assert.match(reports, /error: io\.App: the property "instance" holds an object of MuranoPL, which is not run here/);
    assert.match(await api.command('static-action-call', 'io.App', 'run'), /404|not run here/);
    assert.match(await api.command('class-schema', 'test.Ledger'), /"ledger"/);
    await assert.rejects(api.command('class-schema', 'io.App'), /404/);
    // Nothing was made, so murano-api needs nobody to delete it.
    await api.request('DELETE', `/v1/environments/${id}`);
    const { environments } = await api.request<{ environments: readonly { id: string }[] }>('GET', '/v1/environments');
    assert.ok(!environments.some((environment) => environment.id === id), 'it is still there');
  });

  test('an environment that is deleted is destroyed by Torcello and forgotten by murano-api', async () => {
    const { api } = murano;
    await api.command('environment-delete', shop);
    await until(
      () => api.request<{ environments: readonly { id: string }[] }>('GET', '/v1/environments'),
      ({ environments }) => !environments.some((environment) => environment.id === shop),
    );
    assert.equal((await murano.deployments(shop)).length, 0);
  });
});

describe('the bridge under a real murano-api, over our broker', { skip: missing ?? false }, () => {
  let murano: BridgedMurano;

  before(async () => {
    murano = await BridgedMurano.start();
  });
  after(async () => murano?.stop());

  test('an environment is deployed, also when the broker is killed meanwhile', async () => {
    const { api, stack } = murano;
    const { id, session } = await api.staged('shop', murano.ledgerApplication());
    await api.deploy(id, session);
    await murano.begun(id);
    await stack.killBroker();
    await stack.restartBroker();
    await murano.startAgent(id);
    assert.equal(await api.ended(id), 'ready');
    assert.equal((await murano.deployments(id)).length, 1);
    assert.deepEqual(murano.runs(), [1, 1]);
  });
});
