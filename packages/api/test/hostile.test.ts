import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { limits, outputHeaders } from '@torcello/contracts';
import type { ResultMessage } from '@torcello/contracts';
import { eventually } from './support/eventually.js';
import { FakeAgent, resultOf } from './support/fake-agent.js';
import { FakeConductor } from './support/fake-conductor.js';
import { TestApi, deployShop } from './support/test-api.js';

type Attack = (setting: {
  readonly agent: FakeAgent;
  readonly deployment: string;
  readonly own: string;
  readonly foreign: string;
  readonly machine: string;
}) => Promise<void>;

const big = 'x'.repeat(limits.agentMessageBytesMax.value);
const bad =
  (changes: Record<string, unknown>): Attack =>
  ({ agent, deployment, own }) =>
    agent.send('result', { ...resultOf(deployment, own), ...changes });
const output =
  (changes: Record<string, unknown>, bytes = 'text'): Attack =>
  ({ agent, deployment, own }) =>
    agent.send('output', Buffer.from(bytes), {
      [outputHeaders.deploymentId]: deployment,
      [outputHeaders.planId]: own,
      [outputHeaders.step]: 'start',
      [outputHeaders.offset]: 0,
      ...changes,
    });

/** What an agent may send that must change nothing at all. */
const attacks: Readonly<Record<string, Attack>> = {
  'a result for the plan of another machine': ({ agent, deployment, foreign }) => agent.result(deployment, foreign),
  'progress for the plan of another machine': ({ agent, deployment, foreign }) =>
    agent.progress(deployment, foreign, {}),
  'output for the plan of another machine': ({ agent, deployment, foreign }) =>
    agent.output({ deploymentId: deployment, planId: foreign, step: 'start', offset: 0 }, 'mine'),
  'a result for a plan that nobody knows': ({ agent, deployment }) => agent.result(deployment, '0'.repeat(32)),
  'a result for its plan in another deployment': ({ agent, own }) => agent.result('0'.repeat(32), own),
  'no JSON': ({ agent }) => agent.send('result', '{"deploymentId":'),
  'JSON that is no object': ({ agent }) => agent.send('result', 'null'),
  'bytes that are no UTF-8': ({ agent }) => agent.send('result', new Uint8Array([0xff, 0xfe, 0x22])),
  'an unknown outcome': bad({ outcome: 'splendid' }),
  'an id that is no id': bad({ planId: "' or 1=1 --" }),
  'an instant out of this world': bad({ finishedAtMs: 1e300 }),
  'a negative instant': bad({ startedAtMs: -1 }),
  'a reason of a megabyte': bad({ reason: 'x'.repeat(900_000) }),
  'more than a megabyte': bad({ reason: big }),
  'too many steps': bad({ steps: Array.from({ length: limits.planStepsMax.value + 1 }, () => ({})) }),
  'a step without a name': bad({ steps: [{ ...resultOf('', '').steps[0], name: '' }] }),
  'a sequence that is no number': ({ agent, deployment, own }) =>
    agent.progress(deployment, own, { sequence: 'one' as unknown as number }),
  'output without headers': ({ agent }) => agent.send('output', Buffer.from('text')),
  'output at a negative offset': output({ [outputHeaders.offset]: -5 }),
  'output at half a byte': output({ [outputHeaders.offset]: 0.5 }),
  'output of a step with a name of a kilobyte': output({ [outputHeaders.step]: 'x'.repeat(1_024) }),
  'a chunk over its limit': output({}, 'x'.repeat(limits.outputChunkBytesMax.value + 1)),
  'a heartbeat of another machine': ({ agent }) =>
    agent.send('heartbeat', {
      machineId: '0'.repeat(32),
      enrolment: 1,
      agentVersion: '1',
      processStartedAtMs: 0,
      waitingPlans: 0,
      intervalMs: 1,
      atMs: 0,
    }),
  'a routing key that is no machine': ({ agent, deployment, own }) =>
    agent.sendTo('everyone.result', resultOf(deployment, own)),
};

describe('what an agent sends is hostile', () => {
  for (const [says, attack] of Object.entries(attacks)) {
    it(`${says} changes nothing, and the next good message is taken`, async () => {
      await using test = await TestApi.open();
      await test.attach();
      const { deployment, environment } = await deployShop(test, { machines: 2 });
      const conductor = new FakeConductor(await test.connect());
      await eventually('the hint', () => conductor.takeHint());
      await eventually('mailboxes', async () =>
        (await test.call('GET', `/v1/environments/${environment}/machines`)).body.machines.every(
          (machine: { isMailboxDeclared: boolean }) => machine.isMailboxDeclared,
        ),
      );
      await conductor.workOn(deployment);
      const before = (await test.call('GET', `/v1/deployments/${deployment}`)).body;
      const [own, foreign] = before.plans;
      const agent = new FakeAgent(await test.connect(), own.machine.id);
      await attack({ agent, deployment, own: own.planId, foreign: foreign.planId, machine: own.machine.id });
      await eventually('everything was read', async () => {
        const counts = await Promise.all(
          ['torcello.results', 'torcello.output', 'torcello.heartbeats'].map((queue) => conductor.boxes.inspect(queue)),
        );
        return counts.every(({ messages }) => messages === 0);
      });
      assert.deepEqual((await test.call('GET', `/v1/deployments/${deployment}`)).body, before);
      assert.deepEqual((await test.call('GET', `/v1/deployments/${deployment}/output`)).body.outputs, []);
      const good: Partial<ResultMessage> = { outcome: 'failed', reason: 'it broke' };
      await agent.result(deployment, own.planId, good);
      await eventually(
        'the good result',
        async () => (await test.call('GET', `/v1/deployments/${deployment}`)).body.plans[0].state === 'failed',
      );
    });
  }
});
