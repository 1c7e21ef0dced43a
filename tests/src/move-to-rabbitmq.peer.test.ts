import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { freePort, rabbitMqMissing, run, startRabbitMq } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';
import { makeLedgerFleet, until } from './support/ledger-fleet.js';
import { startStack } from './support/stack.js';
import { root } from './tidy/sources.js';

const skip = rabbitMqMissing() ?? false;
const steps = 3;
const bin = (program: string): string => path.join(root, 'packages', program, 'bin', `torcello-${program}.js`);

test(
  'a control plane moves from the embedded broker to RabbitMQ in mid-deployment: every step runs once, and it succeeds',
  { skip, timeout: 300_000 },
  async (t) => {
    const started: Running[] = [];
    t.after(() => Promise.all(started.map((one) => one.stop('SIGKILL'))));
    const start = async (program: string, args: readonly string[], env = {}): Promise<Running> => {
      const running = run(process.execPath, [bin(program), ...args], { env });
      started.push(running);
      await running.line((line) => line.startsWith('{"ready"'));
      return running;
    };
    const managementPort = await freePort();
    const settings = ['management.tcp.ip = 127.0.0.1', `management.tcp.port = ${managementPort}`];
    const rabbit = await startRabbitMq({ own: true, plugins: ['rabbitmq_management'], settings });
    t.after(() => rabbit.stop());
    const stack = await startStack();
    t.after(() => stack.stop());
    const fleet = await makeLedgerFleet(stack, { machines: 3, steps, stepMs: 2_000 });
    const [busy, away, unborn] = fleet.machines;
    assert.ok(busy !== undefined && away !== undefined && unborn !== undefined, 'there are three machines');
    const conductor = await stack.conductor();
    const agents = [await stack.agent(busy.name, busy.joinLine), await stack.agent(away.name, away.joinLine)];
    await agents[1]?.stop();
    const deployment = await fleet.deploy();
    const states = async (): Promise<string> =>
      (await fleet.view(deployment)).plans.map(({ machine, state }) => `${machine.name} ${state}`).join();
    await until(states, (seen) => seen === 'node-1 running,node-2 stored,node-3 stored');

    const { host } = new URL(stack.server().url);
    await Promise.all([conductor.stop(), agents[0]?.stop(), stack.killApi()]);
    const moving = run(process.execPath, [
      bin('broker'),
      ...['--data', path.join(stack.folder, 'broker'), 'move', '--to', rabbit.url()],
    ]);
    assert.equal((await moving.exited).code, 0, moving.output().stderr);

    // What the embedded broker holds are classic queues, and they stay classic ones.
    const env = { TORCELLO_TRANSPORT: `${rabbit.url()}?queue_type=classic` };
    const planKey = path.join(stack.folder, 'plan-key.pem');
    await start(
      'api',
      [
        ...['--data', stack.folder, '--listen', host, '--plan-key', `${planKey}.pub`],
        ...['--lease-ms', '2000', '--sweep-ms', '500', '--heartbeat-ms', '1000'],
        ...['--broker-management', `http://127.0.0.1:${managementPort}`],
      ],
      env,
    );
    await start('conductor', ['--plan-key', planKey], env);
    for (const { name, joinLine } of [busy, away]) {
      await start('agent', ['--data', path.join(stack.folder, 'agents', name), '--join', joinLine, '--renew-login']);
    }
    await stack.agent(unborn.name, unborn.joinLine);
    assert.equal((await fleet.ended(deployment)).state, 'succeeded', await states());
    const runs = [...fleet.ledger()];
    assert.equal(runs.length, 3 * steps, 'every step of every machine ran');
    assert.deepEqual(
      runs.filter(([, times]) => times !== 1),
      [],
      'no step ran twice',
    );
  },
);
