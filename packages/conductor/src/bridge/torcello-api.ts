import { createHash } from 'node:crypto';
import { sleep } from '@torcello/platform';
import type { Clock } from '@torcello/platform';
import type { MuranoApplication } from './murano-task.js';
import { TaskRefused } from './murano-task.js';

export interface TorcelloApiOptions {
  readonly url: string;
  readonly token: string;
  readonly clock: Clock;
  /** Names the task: what is asked again for the same one is done once. */
  readonly task: string;
  /** Whose agent works on machines that the bridge adds. */
  readonly machineKind: 'agent' | 'muranoagent';
  readonly pollMs: number;
}

/** Of a list in Murano's shape. */
interface ListedDeployment {
  readonly id: string;
  readonly finished: string | null;
}

interface DeploymentView {
  readonly state: string;
  readonly action: string;
  readonly supersedes?: string;
  readonly reason?: string;
  readonly plans: readonly {
    readonly machine: { readonly name: string };
    readonly state: string;
    readonly reason?: string;
  }[];
}

type Body = Readonly<Record<string, unknown>>;
type Headers = Readonly<Record<string, string>>;
interface Answer {
  readonly status: number;
  readonly body: Body;
  /** Of a status from 400 on. */
  readonly refusal: string;
  /** The deployment that it began. */
  readonly deployment?: string;
}

/** Murano-api has one task of an environment at a time: the deployment of a repeated one is among the last. */
const deploymentsSearchedMax = 10;

/** What the bridge asks of the API for one task. A refusal of the API is the reason why the task failed. */
export class TorcelloApi {
  readonly #options: TorcelloApiOptions;

  constructor(options: TorcelloApiOptions) {
    this.#options = options;
  }

  /** The environment's id, making it under this name where it is missing. */
  async environment(name: string): Promise<string> {
    const found = await this.#send('GET', `/v1/environments/${name}`);
    if (found.status === 200) return String(found.body['id']);
    return String((await this.#done('POST', '/v1/environments', { name }))['id']);
  }

  /** The deployment of an earlier try with the same task, unfinished or ended. */
  async deployed(environment: string): Promise<string | undefined> {
    const listed = await this.#listed(environment);
    for (const { id } of listed.slice(0, deploymentsSearchedMax))
      if ((await this.#view(id)).supersedes === this.#key) return id;
    return undefined;
  }

  /** Stages the applications and deploys them, after what somebody else may be doing in the environment. */
  async deploy(environment: string, applications: readonly MuranoApplication[], signal: AbortSignal): Promise<string> {
    await this.#othersEnded(environment, signal);
    const session = await this.#done('POST', `/v1/environments/${environment}/configure`);
    const staged = { 'x-configuration-session': String(session['id']) };
    await this.#done('PUT', `/v1/environments/${environment}/services`, applications, staged);
    const route = `/v1/environments/${environment}/sessions/${String(session['id'])}/deploy`;
    return (await this.#must('POST', route, { supersedes: this.#key })).deployment ?? '';
  }

  /** Adds what the roles of the applications lack. Answers one line for each new machine. */
  async addMachines(environment: string, applications: readonly MuranoApplication[]): Promise<readonly string[]> {
    const { machineKind } = this.#options;
    const there = (await this.#done('GET', `/v1/environments/${environment}/machines`))['machines'];
    const counts = new Map<string, number>();
    for (const { role } of there as readonly { role: string }[]) counts.set(role, (counts.get(role) ?? 0) + 1);
    const lines: string[] = [];
    for (const [role, least] of await this.#rolesOf(applications)) {
      const count = least - (counts.get(role) ?? 0);
      if (count <= 0) continue;
      const order = { role, count, ...(machineKind === 'agent' ? {} : { kind: machineKind }) };
      const { machines } = await this.#done('POST', `/v1/environments/${environment}/machines`, order);
      for (const { name, id } of machines as readonly { name: string; id: string }[])
        lines.push(
          machineKind === 'agent'
            ? `Machine ${name} waits for its agent: torcello machine join-line ${id}`
            : `Machine ${name} waits for its agent: torcello machine agent-conf ${id}`,
        );
    }
    return lines;
  }

  /** Resolves when it has ended: undefined for success, else why not. */
  async ended(deployment: string, signal: AbortSignal): Promise<string | undefined> {
    for (;;) {
      const view = await this.#view(deployment);
      if (view.state === 'succeeded') return undefined;
      if (['failed', 'cancelled', 'superseded'].includes(view.state)) return reasonOf(view);
      await sleep(this.#options.clock, this.#options.pollMs, signal);
    }
  }

  /** The deployment that destroys; undefined where nothing is there (any more). */
  async destroy(name: string, signal: AbortSignal): Promise<string | undefined> {
    const found = await this.#send('GET', `/v1/environments/${name}`);
    if (found.status === 404) return undefined;
    const [newest] = await this.#listed(name);
    if (newest?.finished === null && (await this.#view(newest.id)).action === 'destroy') return newest.id;
    await this.#othersEnded(name, signal);
    return (await this.#must('DELETE', `/v1/environments/${String(found.body['id'])}`)).deployment;
  }

  /** JSON schema of an application's properties; undefined where Torcello has no such package. */
  async schema(name: string): Promise<Body | undefined> {
    const answer = await this.#send('GET', `/v1/schemas/${encodeURIComponent(name)}`);
    return answer.status === 200 ? answer.body : undefined;
  }

  get #key(): string {
    return `murano-task-${this.#options.task}`;
  }

  async #othersEnded(environment: string, signal: AbortSignal): Promise<void> {
    const unfinished = (await this.#listed(environment)).filter(({ finished }) => finished === null);
    for (const { id } of unfinished) await this.ended(id, signal);
  }

  async #listed(environment: string): Promise<readonly ListedDeployment[]> {
    const { deployments } = await this.#done('GET', `/v1/environments/${environment}/deployments`);
    return deployments as readonly ListedDeployment[];
  }

  async #view(deployment: string): Promise<DeploymentView> {
    return (await this.#done('GET', `/v1/deployments/${deployment}`)) as unknown as DeploymentView;
  }

  /** By role: the least machines that the applications ask for. */
  async #rolesOf(applications: readonly MuranoApplication[]): Promise<ReadonlyMap<string, number>> {
    const roles = new Map<string, number>();
    for (const application of applications) {
      const [name = ''] = application['?'].type.split('/');
      const page = await this.#done('GET', `/v1/catalog/packages?fqn=${encodeURIComponent(name)}`);
      const [found] = page['packages'] as readonly { id: string }[];
      if (found === undefined) throw new TaskRefused(`there is no package ${name}`);
      const { definition } = await this.#done('GET', `/v1/catalog/packages/${found.id}`);
      if (definition === undefined) throw new TaskRefused(`${name} is a package of MuranoPL, which is not run here`);
      const { machines } = definition as { machines: Readonly<Record<string, { min?: number; count?: number }>> };
      for (const [role, { min = 1, count = min }] of Object.entries(machines))
        roles.set(role, Math.max(roles.get(role) ?? 0, count));
    }
    return roles;
  }

  async #done(method: string, route: string, body?: unknown, headers?: Headers): Promise<Body> {
    return (await this.#must(method, route, body, headers)).body;
  }

  /** @throws TaskRefused where the API refuses. */
  async #must(method: string, route: string, body?: unknown, headers?: Headers): Promise<Answer> {
    const answer = await this.#send(method, route, body, headers);
    if (answer.status >= 400) throw new TaskRefused(answer.refusal);
    return answer;
  }

  /** Rejects when the API is away, for the task to be tried again. */
  async #send(method: string, route: string, body?: unknown, headers: Headers = {}): Promise<Answer> {
    const { url, token, task } = this.#options;
    const sent = body === undefined ? undefined : JSON.stringify(body);
    // The same write for the same task is the same request, whichever bridge sends it.
    const digest = createHash('sha256')
      .update([task, method, route, sent ?? ''].join('\n'))
      .digest('hex');
    const response = await fetch(`${url}${route}`, {
      method,
      headers: {
        'x-auth-token': token,
        ...(method === 'GET' ? {} : { 'idempotency-key': digest }),
        ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(sent === undefined ? {} : { body: sent }),
    });
    const text = await response.text();
    if (response.status >= 500) throw new Error(`${method} ${route}: ${response.status}`);
    const deployment = response.headers.get('x-torcello-deployment');
    const isObject = text.startsWith('{');
    return {
      status: response.status,
      body: isObject ? (JSON.parse(text) as Body) : {},
      refusal: response.status < 400 ? '' : refusalOf(text),
      ...(deployment === null ? {} : { deployment }),
    };
  }
}

function refusalOf(text: string): string {
  try {
    const { error, detail } = JSON.parse(text) as { error?: { message?: string }; detail?: string };
    return error?.message ?? detail ?? text.slice(0, 500);
  } catch {
    return text.slice(0, 500);
  }
}

function reasonOf({ state, reason, plans }: DeploymentView): string {
  const failed = plans.find((plan) => plan.reason !== undefined && plan.state !== 'succeeded');
  const of = failed === undefined ? '' : `: ${failed.machine.name}: ${failed.reason ?? failed.state}`;
  return `the deployment ${state}${reason === undefined ? of : `: ${reason}`}`;
}
