import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { readLedger, writeLedgerPackage } from './ledger-package.js';
import type { Stack } from './stack.js';
import { zipFolder } from './zip-folder.js';

/** An environment of machines that run the ledger package. */
export interface LedgerFleet {
  readonly environmentId: string;
  readonly machines: readonly { readonly name: string; readonly joinLine: string }[];
  /** Starts a deployment; answers its id. */
  deploy(): Promise<string>;
  /** Waits until the deployment has ended, and answers how. */
  ended(deploymentId: string): Promise<DeploymentView>;
  view(deploymentId: string): Promise<DeploymentView>;
  /** How often each step ran. */
  ledger(): ReadonlyMap<string, number>;
}

export interface DeploymentView {
  readonly state: string;
  readonly plans: readonly {
    readonly machine: { readonly name: string };
    readonly state: string;
    readonly step?: string;
  }[];
}

export interface FleetOptions {
  readonly machines: number;
  readonly steps: number;
  readonly stepMs?: number;
}

export async function makeLedgerFleet(stack: Stack, options: FleetOptions): Promise<LedgerFleet> {
  const [source, ledger] = [path.join(stack.folder, 'ledger-package'), path.join(stack.folder, 'ledger')];
  for (const folder of [source, ledger]) mkdirSync(folder);
  writeLedgerPackage(source, options);
  await stack.request('POST', '/v1/catalog/packages', zipFolder(source));
  const { id } = await stack.request<{ id: string }>('POST', '/v1/environments', { name: 'ledger' });
  const { machines } = await stack.request<{ machines: LedgerFleet['machines'] }>(
    'POST',
    `/v1/environments/${id}/machines`,
    {
      role: 'node',
      count: options.machines,
    },
  );
  const view = (deploymentId: string) => stack.request<DeploymentView>('GET', `/v1/deployments/${deploymentId}`);
  return {
    environmentId: id,
    machines,
    deploy: async () => {
      const session = await stack.request<{ id: string }>('POST', `/v1/environments/${id}/configure`);
      const headers = { 'x-configuration-session': session.id };
      const service = { '?': { id: 'a'.repeat(32), type: 'test.Ledger' }, ledger };
      await stack.request('PUT', `/v1/environments/${id}/services`, [service], headers);
      const route = `/v1/environments/${id}/sessions/${session.id}/deploy`;
      return (await stack.request<{ deployment: string }>('POST', route)).deployment;
    },
    ended: (deploymentId) => untilEnded(() => view(deploymentId)),
    view,
    ledger: () => readLedger(ledger),
  };
}

/** Polls: what is tested here is seen from outside, over HTTP. Gives up after a minute and a half. */
export async function until<T>(look: () => Promise<T>, isSo: (seen: T) => boolean): Promise<T> {
  let seen = await look();
  for (let attempt = 0; attempt < 900 && !isSo(seen); attempt += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    seen = await look();
  }
  if (!isSo(seen)) throw new Error(`it never came to be; last seen: ${JSON.stringify(seen)}`);
  return seen;
}

function untilEnded(view: () => Promise<DeploymentView>): Promise<DeploymentView> {
  return until(view, ({ state }) => !['queued', 'waiting', 'running'].includes(state));
}
