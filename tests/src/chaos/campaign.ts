import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { seededRandom } from '@torcello/platform/testing';
import { FaultProxy } from '@torcello/test-support';
import type { DeploymentView } from '../support/ledger-fleet.js';
import { startStack } from '../support/stack.js';
import type { Stack } from '../support/stack.js';
import { faults, one } from './faults.js';
import type { FaultWorld, Member } from './faults.js';
import { expectedOutput, readChaosLedger, stepsPerMachine, writeChaosPackage } from './ledger.js';
import { zipFolder } from '../support/zip-folder.js';

export interface CampaignOptions {
  readonly seed: number;
  readonly minutes: number;
  /** A RabbitMQ that runs already; default: the embedded broker, which is killed too. */
  readonly rabbit?: string;
  readonly say: (line: string) => void;
}

/** What came out. All but the first two must be 0. */
export interface CampaignResult {
  readonly deployments: number;
  readonly faults: number;
  /** Steps that the history calls done and that never ran, and deployments that did not succeed. */
  readonly lost: number;
  /** Steps started more than once. */
  readonly doubled: number;
  /** Events accepted under an older epoch behind one of a newer. */
  readonly overlappingLeases: number;
  /** Deployments that did not end within the bound after the last fault. */
  readonly stuck: number;
  /** Steps whose stored output has a gap or a repeat. */
  readonly outputGaps: number;
}

const [environments, machinesEach, conductors] = [3, 2, 2];
const settleMs = 120_000;

/** Real programs, real deployments one after the other in several environments, and faults as the seed draws them. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const random = seededRandom(options.seed);
  let proxy: FaultProxy | undefined;
  const stack = await startStack({
    leaseMs: 3000,
    sweepMs: 500,
    ...(options.rabbit === undefined ? {} : { transport: options.rabbit }),
    agentTransport: async (url) => {
      proxy = await FaultProxy.start({ host: '127.0.0.1', port: Number(new URL(url.replace(/^\w+:/, 'http:')).port) });
      return proxy.url(url);
    },
  });
  if (proxy === undefined) throw new TypeError('the agents have no proxy');
  try {
    const fleets = await makeFleets(stack);
    const world: FaultWorld = {
      stack,
      proxy,
      ownsBroker: options.rabbit === undefined,
      conductors: await Promise.all(
        Array.from({ length: conductors }, (_, index) => member(`conductor-${index + 1}`, () => stack.conductor())),
      ),
      agents: await Promise.all(
        fleets.flatMap((fleet) =>
          fleet.machines.map(({ id, joinLine }) => member(id, () => stack.agent(id, joinLine))),
        ),
      ),
      random,
      sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
    };
    return await rage(world, fleets, options);
  } finally {
    await proxy.stop();
    await stack.stop();
  }
}

interface Fleet {
  readonly environmentId: string;
  readonly machines: readonly { readonly id: string; readonly name: string; readonly joinLine: string }[];
}

async function rage(world: FaultWorld, fleets: readonly Fleet[], options: CampaignOptions): Promise<CampaignResult> {
  const { stack } = world;
  const endsAt = performance.now() + options.minutes * 60_000;
  const deployed: string[] = [];
  const stuck: string[] = [];
  const deploying = fleets.map(async (fleet) => {
    while (performance.now() < endsAt) {
      const id = await patiently(() => deploy(stack, fleet));
      deployed.push(id);
      if (!(await hasEnded(stack, id, options.minutes * 60_000 + settleMs))) stuck.push(id);
    }
  });
  let struck = 0;
  while (performance.now() < endsAt) {
    await world.sleep(300 + world.random.fraction() * 1700);
    const fault = one(world, faults);
    options.say(`${((performance.now() - endsAt) / 1000 + options.minutes * 60).toFixed(1)}s ${fault.name}`);
    await fault.strike(world);
    struck += 1;
  }
  await Promise.all(deploying);
  return check(stack, { deployed, stuck, struck });
}

async function check(
  stack: Stack,
  seen: { readonly deployed: readonly string[]; readonly stuck: readonly string[]; readonly struck: number },
): Promise<CampaignResult> {
  const ledger = readChaosLedger(path.join(stack.folder, 'ledger'));
  let [lost, outputGaps] = [0, 0];
  for (const id of seen.deployed) {
    const view = await stack.request<DeploymentView>('GET', `/v1/deployments/${id}`);
    if (view.state !== 'succeeded') lost += 1;
    const starts = [...ledger.starts].filter((start) => start.startsWith(`${id}.`)).length;
    if (view.state === 'succeeded') lost += machinesEach * stepsPerMachine - starts;
    const { outputs } = await stack.request<{ outputs: readonly { step: string; text: string }[] }>(
      'GET',
      `/v1/deployments/${id}/output`,
    );
    if (view.state === 'succeeded') outputGaps += machinesEach * stepsPerMachine - outputs.length;
    outputGaps += outputs.filter(({ step, text }) => text !== expectedOutput(step)).length;
  }
  // The API keeps the database to itself while it runs.
  await stack.killApi();
  return {
    deployments: seen.deployed.length,
    faults: seen.struck,
    lost,
    doubled: ledger.doubled.length,
    overlappingLeases: overlaps(path.join(stack.folder, 'torcello.sqlite')),
    stuck: seen.stuck.length,
    outputGaps,
  };
}

/** Reads the history behind the API's back: epochs may only rise within a deployment. */
function overlaps(file: string): number {
  const { DatabaseSync } = createRequire(import.meta.url)('@photostructure/sqlite') as {
    DatabaseSync: new (file: string) => { prepare(sql: string): { all(): readonly unknown[] }; close(): void };
  };
  const database = new DatabaseSync(file);
  const rows = database
    .prepare(
      `select count(*) as fallen from history later join history earlier
       on earlier.deployment_id = later.deployment_id and earlier.n = later.n - 1
       where later.epoch < earlier.epoch and later.epoch > 0`,
    )
    .all() as readonly { readonly fallen: number | bigint }[];
  database.close();
  return Number(rows[0]?.fallen ?? 0);
}

async function makeFleets(stack: Stack): Promise<readonly Fleet[]> {
  const [source, ledger] = [path.join(stack.folder, 'chaos-package'), path.join(stack.folder, 'ledger')];
  for (const folder of [source, ledger]) mkdirSync(folder);
  writeChaosPackage(source);
  await stack.request('POST', '/v1/catalog/packages', zipFolder(source));
  const fleets: Fleet[] = [];
  for (let number = 1; number <= environments; number += 1) {
    const { id } = await stack.request<{ id: string }>('POST', '/v1/environments', { name: `chaos-${number}` });
    const body = { role: 'node', count: machinesEach };
    const made = await stack.request<{ machines: Fleet['machines'] }>('POST', `/v1/environments/${id}/machines`, body);
    fleets.push({ environmentId: id, machines: made.machines });
  }
  return fleets;
}

async function member(name: string, start: () => Promise<Member['running']>): Promise<Member> {
  const patientStart = (): Promise<Member['running']> => patiently(start);
  return { name, running: await patientStart(), start: patientStart };
}

async function deploy(stack: Stack, { environmentId }: Fleet): Promise<string> {
  const environment = `/v1/environments/${environmentId}`;
  const session = await stack.request<{ id: string }>('POST', `${environment}/configure`);
  const service = { '?': { id: 'b'.repeat(32), type: 'test.Chaos' }, ledger: path.join(stack.folder, 'ledger') };
  await stack.request('PUT', `${environment}/services`, [service], { 'x-configuration-session': session.id });
  const route = `${environment}/sessions/${session.id}/deploy`;
  return (await stack.request<{ deployment: string }>('POST', route)).deployment;
}

async function hasEnded(stack: Stack, id: string, withinMs: number): Promise<boolean> {
  const endsAt = performance.now() + withinMs;
  while (performance.now() < endsAt) {
    const { state } = await patiently(() => stack.request<DeploymentView>('GET', `/v1/deployments/${id}`));
    if (!['queued', 'waiting', 'running'].includes(state)) return true;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return false;
}

/** Again until it works, for half a minute: whoever is asked may be dead just now. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 60) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}
