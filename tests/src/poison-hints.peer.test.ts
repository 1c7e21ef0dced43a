import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tasksMailbox } from '@torcello/contracts';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { connect, mailboxes } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import { rabbitMqMissing, run, startRabbitMq, temporaryFolder } from '@torcello/test-support';
import type { RabbitMq } from '@torcello/test-support';
import { makeLedgerFleet, until } from './support/ledger-fleet.js';
import type { LedgerFleet } from './support/ledger-fleet.js';
import { startStack } from './support/stack.js';
import type { Stack } from './support/stack.js';
import { root } from './tidy/sources.js';

/** Hints that conductors cannot read, and one that they die of, with the compiled programs on both brokers. Needs a build. */

const bin = path.join(root, 'packages', 'cli', 'bin', 'torcello.js');
const crashAt = path.join(root, 'tests', 'src', 'support', 'crash-at.mjs');

interface DeadLetter {
  readonly id: string;
  readonly source: string;
  readonly messageId?: string;
  readonly reason: string;
  readonly attempts: number;
}

describe('hints that cannot be handled', { concurrency: true }, () => {
  for (const broker of ['our broker', 'RabbitMQ'] as const) {
    const skip = (broker === 'RabbitMQ' ? rabbitMqMissing() : undefined) ?? false;
    describe(`over ${broker}`, { skip, concurrency: false }, () => {
      const markers = temporaryFolder('markers');
      let rabbit: RabbitMq | undefined;
      let stack: Stack;
      let fleet: LedgerFleet;
      let transport: Transport;

      before(async () => {
        rabbit = broker === 'RabbitMQ' ? await startRabbitMq() : undefined;
        const url = rabbit?.url(await rabbit.freshVhost());
        // No sweep comes meanwhile: what happens, happens by the one hint there is.
        stack = await startStack({ ...(url === undefined ? {} : { transport: url }), sweepMs: 3_600_000 });
        fleet = await makeLedgerFleet(stack, { machines: 1, steps: 1 });
        transport = await connect(stack.brokerUrl(), { drivers: [amqp091Driver()] });
      });
      after(async () => {
        await transport.close();
        await stack.stop();
        await rabbit?.stop();
        markers.remove();
      });

      async function torcello(...args: readonly string[]): Promise<unknown> {
        const { url, token } = stack.server();
        const running = run(process.execPath, [bin, ...args, '--json'], {
          env: { TORCELLO_URL: url, TORCELLO_TOKEN: token },
        });
        assert.equal((await running.exited).code, 0, `${args.join(' ')}: ${running.output().stderr}`);
        return JSON.parse(running.output().stdout) as unknown;
      }
      const deadLetters = (): Promise<readonly DeadLetter[]> =>
        torcello('deadletter', 'list') as Promise<readonly DeadLetter[]>;
      const putAside = async (): Promise<DeadLetter | undefined> =>
        (await until(deadLetters, (letters) => letters.length === 1))[0];

      test('one that conductors die of is put aside unread after five attempts that counted, and is taken once they live', async () => {
        const deployment = await fleet.deploy();
        const dyingConductor = async (life: number): Promise<boolean> => {
          const crash = {
            channel: 'torcello:conductor',
            point: 'reading',
            nth: 1,
            marker: path.join(markers.path, String(life)),
          };
          try {
            const conductor = await stack.conductor({ TORCELLO_TEST_CRASH: JSON.stringify(crash) }, [crashAt]);
            const ended = conductor.exited.then(() => true);
            const buried = until(deadLetters, (letters) => letters.length === 1).then(() => false);
            if (await Promise.race([ended, ...(life > 6 ? [buried] : [])])) return true;
            await conductor.stop();
            return false;
          } catch {
            // It ended before it was ready.
            return true;
          }
        };
        // Once as a fresh hint, five times counted before it was read, and then never again.
        for (let life = 1; life <= 6; life++) assert.ok(await dyingConductor(life), `life ${life} ends`);
        assert.equal(await dyingConductor(7), false, 'nobody reads it any more');
        const letter = await putAside();
        assert.deepEqual(
          [letter?.source, letter?.attempts, letter?.reason],
          [tasksMailbox, 5, 'the conductor ended each time while it handled this message'],
        );
        assert.match(letter?.messageId ?? '', /^hint-/);

        await stack.conductor();
        const { name, joinLine } = fleet.machines[0] ?? { name: '', joinLine: '' };
        await stack.agent(name, joinLine);
        assert.equal((await fleet.view(deployment)).state, 'queued');
        await torcello('deadletter', 'requeue', letter?.id ?? '');
        assert.equal((await fleet.ended(deployment)).state, 'succeeded');
        assert.deepEqual(await deadLetters(), []);
      });

      test('one that cannot be read is put aside under its id, again after a requeue, and blocks nothing', async () => {
        await mailboxes(transport).put(tasksMailbox, { id: 'no-hint', body: Buffer.from('{"deploymentId":') });
        const letter = await putAside();
        assert.deepEqual(
          [letter?.source, letter?.messageId, letter?.attempts, letter?.reason],
          [tasksMailbox, 'no-hint', 5, 'not_json'],
        );
        assert.equal((await fleet.ended(await fleet.deploy())).state, 'succeeded');
        await torcello('deadletter', 'requeue', letter?.id ?? '');
        const again = await putAside();
        assert.deepEqual([again?.id, again?.messageId, again?.attempts], [letter?.id, 'no-hint', 5]);
        await torcello('deadletter', 'discard', letter?.id ?? '');
        assert.deepEqual(await deadLetters(), []);
      });
    });
  }
});
