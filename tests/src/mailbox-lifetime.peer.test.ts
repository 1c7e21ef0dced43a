import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { connect, notificationListener } from '@torcello/messaging';
import type { Notification, Transport } from '@torcello/messaging';
import { rabbitMqMissing, run, startRabbitMq } from '@torcello/test-support';
import type { RabbitMq, Running } from '@torcello/test-support';
import { until } from './support/ledger-fleet.js';
import { readLedger } from './support/ledger-package.js';
import { startStack } from './support/stack.js';
import type { Stack } from './support/stack.js';
import { writeTwoStepPackage } from './support/two-step-package.js';
import { root } from './tidy/sources.js';

/** Mailboxes that nobody reads any more, with the compiled programs on both brokers. Needs a build. */

const bin = path.join(root, 'packages', 'cli', 'bin', 'torcello.js');

/** Comes with a restart of the API, once all plans are where they shall be: nothing here depends on how fast that was. */
const lifetime = '8s';

interface Mailbox {
  readonly name: string;
  readonly state: string;
  readonly machine: { readonly name: string };
  readonly letters?: readonly { readonly id: string; readonly state: string; readonly wasInMailbox?: boolean }[];
}

interface PlanView {
  readonly planId: string;
  readonly machine: { readonly name: string };
  readonly state: string;
  readonly reason?: string;
}

interface Expired {
  readonly mailbox: string;
  readonly machine: { readonly name: string };
  readonly letters: readonly { readonly planId: string; readonly became: string; readonly wasInMailbox: boolean }[];
}

describe('the lifetime of mailboxes', { concurrency: true }, () => {
  for (const broker of ['our broker', 'RabbitMQ'] as const) {
    const skip = (broker === 'RabbitMQ' ? rabbitMqMissing() : undefined) ?? false;
    describe(`over ${broker}`, { skip }, () => {
      let rabbit: RabbitMq | undefined;
      let stack: Stack;
      let transport: Transport;
      const told: Notification[] = [];
      const apiArguments = ['--mailbox-settle-ms', '500'];

      before(async () => {
        rabbit = broker === 'RabbitMQ' ? await startRabbitMq() : undefined;
        const url = rabbit?.url(await rabbit.freshVhost());
        stack = await startStack({
          ...(url === undefined ? {} : { transport: url }),
          apiArguments,
        });
        await stack.conductor();
        transport = await connect(stack.brokerUrl(), { drivers: [amqp091Driver()] });
        const endpoint = { warn: (notification: Notification) => void told.push(notification) };
        await notificationListener(transport, [{ topic: 'notifications' }], [endpoint]).start();
      });
      after(async () => {
        await transport.close();
        await stack.stop();
        await rabbit?.stop();
      });

      const torcello = async <Answer>(...args: readonly string[]): Promise<Answer> => {
        const { url, token } = stack.server();
        const running: Running = run(process.execPath, [bin, ...args, '--json'], {
          env: { TORCELLO_URL: url, TORCELLO_TOKEN: token },
        });
        assert.equal((await running.exited).code, 0, `${args.join(' ')}: ${running.output().stderr}`);
        return JSON.parse(running.output().stdout) as Answer;
      };

      test('every plan in them is told, an event lists them, and a resume finds fresh ones', async () => {
        const ledger = path.join(stack.folder, 'ledger');
        mkdirSync(ledger);
        const folder = path.join(stack.folder, 'package');
        writeTwoStepPackage(folder, { version: '1.0.0', second: 'is fine' });
        await torcello('package', 'import', folder);
        await torcello('environment', 'create', 'shop', '--app', 'test.TwoSteps@1.0.0', '--set', `ledger=${ledger}`);
        const add = ['machine', 'add', 'shop', '--role', 'node', '--count'];
        const { machines } = await torcello<{ machines: { joinLine: string }[] }>(...add, '2');
        const [silent, alive] = machines;
        assert.ok(silent && alive);
        const joined = [stack.agent('silent', silent.joinLine), stack.agent('alive', alive.joinLine)] as const;
        const [dying] = await Promise.all(joined);
        await dying.stop('SIGKILL');
        await torcello(...add, '1');
        const { deployment } = await torcello<{ deployment: string }>('deploy', 'shop');

        const look = () => stack.request<{ state: string; plans: PlanView[] }>('GET', `/v1/deployments/${deployment}`);
        await until(look, ({ plans }) => {
          const states = new Map(plans.map(({ machine, state }) => [machine.name, state]));
          return ['stored', 'succeeded', 'stored'].every((state, at) => states.get(`node-${at + 1}`) === state);
        });
        await stack.killApi();
        apiArguments.push('--mailbox-lifetime', lifetime);
        await stack.restartApi();
        const view = await until(look, ({ state }) => state === 'failed');
        const states = view.plans.map(({ machine, state, reason }) =>
          `${machine.name} ${state} ${reason ?? ''}`.trim(),
        );
        const expired = `expired not delivered: its mailbox ended after ${lifetime} without contact`;
        assert.deepEqual(states.toSorted(), [`node-1 ${expired}`, 'node-2 succeeded', `node-3 ${expired}`]);

        const mailboxes = await until(
          () => torcello<Mailbox[]>('mailbox', 'list'),
          (all) => all.filter(({ state, machine }) => state === 'closed' && machine.name !== 'node-2').length === 2,
        );
        await until(
          async () => told,
          (all) => all.length >= 2,
        );
        for (const name of ['node-1', 'node-3']) {
          const of = mailboxes.find(({ machine }) => machine.name === name);
          const plan = view.plans.find(({ machine }) => machine.name === name);
          const shown = await torcello<Mailbox>('mailbox', 'show', of?.name ?? '');
          assert.deepEqual(
            shown.letters?.map(({ id, state, wasInMailbox }) => [id, state, wasInMailbox]),
            [[plan?.planId, 'expired', true]],
          );
          const event = told.find(({ payload }) => (payload as Expired).machine.name === name);
          assert.equal(event?.eventType, 'mailbox.expired');
          const { mailbox, letters } = event.payload as Expired;
          assert.equal(mailbox, of?.name);
          assert.deepEqual(
            letters.map(({ planId, became, wasInMailbox }) => [planId, became, wasInMailbox]),
            [[plan?.planId, 'expired', true]],
          );
          await assert.rejects(transport.inspect({ queue: mailbox }), { code: 'NOT_FOUND' });
        }

        // The agent that was silent comes back by itself; where nobody had joined a new line opens the mailbox anew.
        await stack.agent('silent', silent.joinLine);
        const { joinLine } = await torcello<{ joinLine: string }>('machine', 'join-line', 'shop', 'node-3');
        await stack.agent('late', joinLine);
        await until(
          () => torcello<Mailbox[]>('mailbox', 'list'),
          (all) => all.every(({ state }) => state === 'open'),
        );
        await torcello('resume', deployment);
        await until(
          () => stack.request<{ state: string }>('GET', `/v1/deployments/${deployment}`),
          ({ state }) => state === 'succeeded',
        );
        const ran = [...readLedger(ledger)].filter(([name]) => name.startsWith(deployment));
        assert.deepEqual(
          ran.map(([, times]) => times),
          [1, 1, 1, 1, 1, 1],
        );
      });
    });
  }
});
