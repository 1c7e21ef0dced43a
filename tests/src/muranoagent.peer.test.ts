import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rabbitMqMissing, startRabbitMq } from '@torcello/test-support';
import type { RabbitMq, Running } from '@torcello/test-support';
import { strToU8, zipSync } from 'fflate';
import { until } from './support/ledger-fleet.js';
import { readLedger, writeLedgerPackage } from './support/ledger-package.js';
import { muranoAgentMissing, startMuranoAgent } from './support/muranoagent.js';
import { startStack } from './support/stack.js';
import type { Stack } from './support/stack.js';
import { zipFolder } from './support/zip-folder.js';

/**
 * Debian's real muranoagent under our API and conductor, beside an agent of ours in the same environment, over our broker
 * and over RabbitMQ.
 */

const missing = muranoAgentMissing();
if (missing !== undefined) console.error(`NOT TESTED with the real muranoagent: ${missing}`);

interface Machine {
  readonly id: string;
  readonly name: string;
  readonly joinLine?: string;
}
interface View {
  readonly state: string;
  readonly plans: readonly {
    readonly machine: { readonly name: string };
    readonly state: string;
    readonly reason?: string;
    readonly cancel?: string;
    readonly steps: readonly { readonly name: string; readonly state: string; readonly exitCode?: number }[];
  }[];
}

const failing = zipSync({
  'manifest.yaml': strToU8(
    'Format: Torcello/1.0\nType: Application\nFullName: test.Fails\nName: Fails\nVersion: 1.0.0\n',
  ),
  'application.yaml': strToU8(
    'machines: { node: { min: 1 } }\ndeploy:\n  - role: node\n    steps: [{ name: fails, command: [sh, -c, "echo línea; exit 9"] }]\n',
  ),
});

/** An environment with two machines for the real agent and one for ours. */
class MixedFleet {
  readonly stack: Stack;
  readonly environment: string;
  readonly machines: ReadonlyMap<string, Machine>;
  readonly #ledger: string;
  readonly #running = new Map<string, Running>();

  private constructor(stack: Stack, made: { readonly environment: string; readonly machines: readonly Machine[] }) {
    this.stack = stack;
    this.environment = made.environment;
    this.machines = new Map(made.machines.map((machine) => [machine.name, machine]));
    this.#ledger = path.join(stack.folder, 'ledger');
  }

  static async make(stack: Stack, stepMs: number): Promise<MixedFleet> {
    const source = path.join(stack.folder, 'package');
    for (const folder of [source, path.join(stack.folder, 'ledger')]) mkdirSync(folder);
    writeLedgerPackage(source, { steps: 2, stepMs });
    await stack.request('POST', '/v1/catalog/packages', zipFolder(source));
    await stack.request('POST', '/v1/catalog/packages', failing);
    const { id } = await stack.request<{ id: string }>('POST', '/v1/environments', { name: 'mixed' });
    const add = async (body: object): Promise<readonly Machine[]> => {
      const route = `/v1/environments/${id}/machines`;
      return (await stack.request<{ machines: readonly Machine[] }>('POST', route, { role: 'node', ...body })).machines;
    };
    const real = await add({ names: ['real-1', 'real-2'], kind: 'muranoagent' });
    return new MixedFleet(stack, { environment: id, machines: [...real, ...(await add({ names: ['ours-1'] }))] });
  }

  async deploy(type: string = 'test.Ledger'): Promise<string> {
    const { environment, stack } = this;
    const session = await stack.request<{ id: string }>('POST', `/v1/environments/${environment}/configure`);
    const headers = { 'x-configuration-session': session.id };
    const properties = type === 'test.Ledger' ? { ledger: this.#ledger } : {};
    const service = { '?': { id: 'a'.repeat(32), type }, ...properties };
    await stack.request('PUT', `/v1/environments/${environment}/services`, [service], headers);
    const route = `/v1/environments/${environment}/sessions/${session.id}/deploy`;
    return (await stack.request<{ deployment: string }>('POST', route)).deployment;
  }

  async startAgent(name: string): Promise<string> {
    const machine = this.machines.get(name) ?? assert.fail(name);
    if (machine.joinLine !== undefined) {
      this.#running.set(name, await this.stack.agent(name, machine.joinLine));
      return '';
    }
    const { url, token } = this.stack.server();
    const headers = { 'x-auth-token': token };
    const conf = await (await fetch(`${url}/v1/machines/${machine.id}/agent-conf`, { headers })).text();
    this.#running.set(name, startMuranoAgent(path.join(this.stack.folder, 'agents', name), conf));
    return conf;
  }

  async killAgent(name: string): Promise<void> {
    await this.#running.get(name)?.stop('SIGKILL');
    this.#running.delete(name);
  }

  view(deployment: string): Promise<View> {
    return this.stack.request<View>('GET', `/v1/deployments/${deployment}`);
  }

  ended(deployment: string): Promise<View> {
    return until(
      () => this.view(deployment),
      ({ state }) => !['queued', 'waiting', 'running'].includes(state),
    );
  }

  /** How often each step of a deployment ran, by machine and step. */
  runs(deployment: string): Readonly<Record<string, number>> {
    const all = [...readLedger(this.#ledger)].filter(([name]) => name.startsWith(`${deployment}.`));
    return Object.fromEntries(all.map(([name, count]) => [name.slice(deployment.length + 1), count]));
  }

  async stop(): Promise<void> {
    for (const name of [...this.#running.keys()]) await this.killAgent(name);
  }
}

const once = Object.fromEntries(
  ['real-1', 'real-2', 'ours-1'].flatMap((name) => [1, 2].map((step) => [`${name}.step-${step}`, 1] as const)),
);

for (const broker of ['our broker', 'RabbitMQ'] as const) {
  const skip = missing ?? (broker === 'RabbitMQ' ? rabbitMqMissing() : undefined) ?? false;
  describe(`real muranoagents and one of ours, over ${broker}`, { skip }, () => {
    let rabbit: RabbitMq | undefined;
    let stack: Stack;
    let fleet: MixedFleet;
    let conductor: Running;
    before(async () => {
      rabbit = broker === 'RabbitMQ' ? await startRabbitMq() : undefined;
      const transport = rabbit === undefined ? {} : { transport: rabbit.url(await rabbit.freshVhost()) };
      stack = await startStack(transport);
      fleet = await MixedFleet.make(stack, 1_000);
      conductor = await stack.conductor();
    });
    after(async () => {
      await fleet.stop();
      await stack.stop();
      await rabbit?.stop();
    });

    test('plans that were sent before their agents existed run once, with output', async () => {
      const deployment = await fleet.deploy();
      await until(
        () => fleet.view(deployment),
        ({ plans }) => plans.length === 3 && plans.every(({ state }) => state === 'stored'),
      );
      const conf = await fleet.startAgent('real-1');
      const { id } = fleet.machines.get('real-1') ?? assert.fail();
      if (rabbit === undefined) assert.match(conf, new RegExp(`^login = agent-${id}$`, 'm'));
      await fleet.startAgent('real-2');
      await fleet.startAgent('ours-1');
      const view = await fleet.ended(deployment);
      assert.equal(view.state, 'succeeded', JSON.stringify(view));
      assert.deepEqual(fleet.runs(deployment), once);
      const route = `/v1/deployments/${deployment}/output?machine=real-1`;
      const { outputs } = await stack.request<{ outputs: readonly { text: string }[] }>('GET', route);
      assert.deepEqual(
        outputs.map(({ text }) => text),
        ['step-1 of real-1\n', 'step-2 of real-1\n'],
      );
    });

    test('kill -9 of a real agent, of the conductor and of the API in a plan: every step runs once', async () => {
      const deployment = await fleet.deploy();
      await until(
        () => Promise.resolve(fleet.runs(deployment)),
        (runs) => runs['real-1.step-1'] === 1,
      );
      await Promise.all([fleet.killAgent('real-1'), conductor.stop('SIGKILL'), stack.killApi()]);
      await stack.restartApi();
      conductor = await stack.conductor();
      await until(
        () => fleet.view(deployment),
        ({ plans }) => plans.find(({ machine }) => machine.name === 'real-2')?.state === 'succeeded',
      );
      await fleet.startAgent('real-1');
      const view = await fleet.ended(deployment);
      assert.equal(view.state, 'succeeded', JSON.stringify(view));
      assert.deepEqual(fleet.runs(deployment), once);
    });

    if (broker === 'RabbitMQ') return;

    test('a step that fails says with which exit code, on every kind of agent', async () => {
      const view = await fleet.ended(await fleet.deploy('test.Fails'));
      assert.equal(view.state, 'failed');
      for (const { steps, machine } of view.plans)
        assert.deepEqual([machine.name, steps[0]?.state, steps[0]?.exitCode], [machine.name, 'failed', 9]);
    });

    test('a cancelled plan is taken from the queue of an agent that is away, and never runs', async () => {
      await fleet.killAgent('real-2');
      const deployment = await fleet.deploy();
      await until(
        () => fleet.view(deployment),
        ({ plans }) => plans.some(({ machine, state }) => machine.name === 'real-2' && state === 'stored'),
      );
      await stack.request('POST', `/v1/deployments/${deployment}/cancel`, {});
      // The plan may be out of its queue before the conductor has ended the deployment.
      await until(
        () => fleet.view(deployment),
        ({ state, plans }) =>
          state === 'cancelled' &&
          plans.every(({ machine, cancel }) => machine.name !== 'real-2' || cancel === 'neverStarted'),
      );
      await fleet.startAgent('real-2');
      const next = await fleet.ended(await fleet.deploy());
      assert.equal(next.state, 'succeeded', JSON.stringify(next));
      assert.equal(fleet.runs(deployment)['real-2.step-1'], undefined);
    });
  });
}
