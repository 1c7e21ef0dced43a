import type { Transport } from '@torcello/messaging';
import { eventually } from './eventually.js';
import { FakeConductor } from './fake-conductor.js';
import { deployShop } from './test-api.js';
import type { TestApi } from './test-api.js';

export interface PostedPlan {
  readonly planId: string;
  readonly state: string;
  readonly stage: string;
  readonly machine: { readonly id: string; readonly name: string };
}

export type PostedShop = Awaited<ReturnType<typeof deployShop>> & {
  readonly transport: Transport;
  readonly conductor: FakeConductor;
  readonly plans: readonly PostedPlan[];
};

/** A deployment whose plans lie in the mailboxes of their machines, none of which has joined. */
export async function posted(
  test: TestApi,
  machines = 1,
  options: Parameters<typeof deployShop>[1] = {},
): Promise<PostedShop> {
  const transport = await test.attach();
  const conductor = new FakeConductor(await test.connect());
  const shop = await deployShop(test, { machines, ...options });
  await eventually('a hint', () => conductor.takeHint());
  await declared(test, shop.environment);
  await conductor.workOn(shop.deployment);
  const view = await test.view(shop.deployment);
  return { ...shop, transport, conductor, plans: view.plans as PostedPlan[] };
}

export async function declared(test: TestApi, environment: string): Promise<void> {
  await eventually('mailboxes', async () =>
    (await test.call('GET', `/v1/environments/${environment}/machines`)).body.machines.every(
      (machine: { isMailboxDeclared: boolean }) => machine.isMailboxDeclared,
    ),
  );
}

/** An agent joins as this machine, with a new join line. */
export async function enrol(test: TestApi, _environment: string, machineId: string): Promise<void> {
  const { body } = await test.call('POST', `/v1/machines/${machineId}/join-line`);
  const line = JSON.parse(Buffer.from(String(body.joinLine).slice('tcjoin1.'.length), 'base64url').toString());
  const { machine, token } = line as { machine: string; token: string };
  const answer = await test.call('POST', '/v1/join', {
    token: null,
    body: { machine, token, publicKey: test.agentKey(), agentVersion: '1', hostname: 'host' },
  });
  if (answer.status !== 200) throw new Error(answer.text);
}
