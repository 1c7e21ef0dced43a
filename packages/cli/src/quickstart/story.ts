import path from 'node:path';
import { hexId, sleep } from '@torcello/platform';
import type { ApiClient } from '../client/api-client.js';
import type { DeploymentView, MachineView, PlanRow } from '../client/views.js';
import { CliError } from '../cli-error.js';
import type { CliContext } from '../context.js';
import { exitCodes } from '../exit-codes.js';
import { packageArchive } from '../files/package-archive.js';
import { deploymentLine, exitCodeOfDeployment } from '../output/deployment-text.js';
import type { DataFolderFiles } from '../plant/data-folder.js';
import { freePortRange } from '../plant/ports.js';
import type { Supervisor } from '../supervisor/supervisor.js';
import { deploymentEvents } from '../watch/deployment-events.js';
import type { PlanDisplay } from '../watch/plan-display.js';
import { failureLines } from '../watch/watch-deployment.js';
import { startLocalAgents, type LocalAgents } from './agents.js';

export const quickstartEnvironment = 'quickstart';
const role = 'web';
const machineCount = 3;
const answerPatienceMs = 5_000;
const answerPauseMs = 100;

export interface StoryWorld {
  readonly context: CliContext;
  readonly client: ApiClient;
  readonly files: DataFolderFiles;
  readonly supervisor: Supervisor;
  /** The folder of the example package. */
  readonly example: string;
  readonly display: PlanDisplay;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
  readonly record: StoryRecord;
}

/** What has happened so far: what the summary, a failure's report and the cleaning up need. */
export interface StoryRecord {
  environmentId: string | undefined;
  deploymentId: string | undefined;
  agents: LocalAgents | undefined;
  isDeployed: boolean;
  readonly plans: Map<string, PlanRow>;
}

interface Staged {
  readonly machines: readonly MachineView[];
  readonly deploymentId: string;
  readonly basePort: number;
}

/**
 * Imports the example, deploys it to three machines that do not exist yet, waits until the broker has stored every
 * plan, starts the agents only then, and asks the deployed application over HTTP when all is done.
 */
export async function tellStory(world: StoryWorld): Promise<void> {
  const staged = await stageAndDeploy(world);
  const view = await followWithLateAgents(world, staged);
  world.display.close();
  world.record.isDeployed = true;
  if (view.state !== 'succeeded') await failWith(world, view);
  await checkAnswers(world, staged);
}

async function stageAndDeploy(world: StoryWorld): Promise<Staged> {
  const { client, context, say, record } = world;
  const imported = await client.importPackage(await packageArchive(world.example));
  say(`Imported ${imported.fully_qualified_name}@${imported.version} from ${path.basename(world.example)}`);
  const environment = await client.createEnvironment(quickstartEnvironment);
  record.environmentId = environment.id;
  const basePort = await freePortRange(machineCount, () => context.random.fraction());
  const session = await client.configure(environment.id);
  const type = `${imported.fully_qualified_name}/${imported.version}`;
  const service = { '?': { id: hexId(context.random), type, name: imported.name }, port: basePort };
  await client.addService(environment.id, session.id, service);
  const machines = await client.addMachines(environment.id, { role, count: machineCount });
  const deploymentId = await client.deploySession(environment.id, session.id);
  record.deploymentId = deploymentId;
  say(`Deployment ${deploymentId} to ${machines.map(({ name }) => name).join(', ')}: none of them runs yet`);
  return { machines, deploymentId, basePort };
}

async function followWithLateAgents(world: StoryWorld, staged: Staged): Promise<DeploymentView> {
  const { client, context, display, record, signal } = world;
  const stored = new Set<unknown>();
  let refused: Promise<never> = new Promise(() => undefined);
  const events = deploymentEvents(client.http, staged.deploymentId, { clock: context.clock, signal });
  while (true) {
    const next = await Promise.race([events.next(), refused]);
    if (next.done === true) return client.deployment(staged.deploymentId);
    const event = next.value;
    if (event.type === 'report') display.note(event.text);
    if (event.type === 'plan') keep(world, event.plan);
    if (event.type === 'finished') {
      for (const plan of event.view.plans) keep(world, plan);
      return event.view;
    }
    if (event.type === 'history' && event.entry.event.type === 'planStored') stored.add(event.entry.event['planId']);
    if (stored.size < staged.machines.length || record.agents !== undefined) continue;
    display.note(`${await keeperOfPlans(client)} has stored all ${stored.size} plans; now the agents start`);
    const agents = startLocalAgents(staged.machines, { ...world, clock: context.clock, env: context.env });
    record.agents = agents;
    refused = failureOf(agents.ready);
  }
}

/** Who keeps the plans until their machines are there. */
async function keeperOfPlans(client: ApiClient): Promise<string> {
  const { carrier } = await client.http.json<{ readonly carrier?: string }>('/healthz');
  return carrier === 'handshake' ? 'This broker keeps no mailboxes: the database of the API' : 'The broker';
}

function keep({ display, record }: StoryWorld, plan: PlanRow): void {
  record.plans.set(plan.planId, plan);
  display.plan(plan);
}

/** Never resolves; rejects when the promise does. */
function failureOf(promise: Promise<unknown>): Promise<never> {
  const failure = new Promise<never>((_, reject) => {
    promise.catch(reject);
  });
  // Also when nobody looks at it any more.
  failure.catch(() => undefined);
  return failure;
}

async function failWith({ client, say }: StoryWorld, view: DeploymentView): Promise<never> {
  for (const line of await failureLines(client, view)) say(line);
  const exitCode = exitCodeOfDeployment(view);
  throw new CliError('deployment_failed', deploymentLine(view), {
    exitCode: exitCode === exitCodes.ok ? exitCodes.allFailed : exitCode,
  });
}

async function checkAnswers({ context, say, signal }: StoryWorld, { machines, basePort }: Staged): Promise<void> {
  for (const { index, name } of machines) {
    const url = `http://127.0.0.1:${basePort + index}/`;
    say(`${name} answers at ${url}: ${await answerOf(context, url, signal)}`);
  }
}

/** The first line of what a service answers. @throws CliError `no_answer` when it does not for some seconds. */
async function answerOf(context: CliContext, url: string, signal: AbortSignal): Promise<string> {
  const untilMs = context.clock.monotonicMs() + answerPatienceMs;
  let flaw = '';
  while (context.clock.monotonicMs() < untilMs) {
    try {
      const response = await context.fetch(url, { signal });
      const text = await response.text();
      if (response.ok) return text.split('\n')[0] ?? '';
      flaw = `status ${response.status}`;
    } catch (error) {
      if (signal.aborted) throw error;
      flaw = String((error as { cause?: unknown }).cause ?? error);
    }
    await sleep(context.clock, answerPauseMs, signal);
  }
  throw new CliError('no_answer', `the deployed application does not answer at ${url} (${flaw})`, {
    exitCode: exitCodes.someFailed,
  });
}
