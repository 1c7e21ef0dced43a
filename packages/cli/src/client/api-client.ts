import { CliError, usageError } from '../cli-error.js';
import { exitCodes } from '../exit-codes.js';
import type { HttpClient } from './http.js';
import type { DeadLetterView, DeletedMailboxView, MailboxView, RedeliveryView } from './mailbox-views.js';
import type {
  AgentView,
  DeploymentRow,
  DeploymentView,
  EndedPlanView,
  EnvironmentView,
  HistoryAnswer,
  MachineView,
  OutputAnswer,
  PackageView,
  QuarantinedView,
  TokenView,
  RolloutView,
  ServiceView,
  SessionView,
  WhyAnswer,
} from './views.js';

const packagesPerPage = 100;

/** The API's routes as methods. Names and ids may both be given where an environment is asked for. */
export class ApiClient {
  readonly http: HttpClient;

  constructor(http: HttpClient) {
    this.http = http;
  }

  async environments(): Promise<readonly EnvironmentView[]> {
    const answer = await this.http.json<{ environments: EnvironmentView[] }>('/v1/environments');
    return answer.environments;
  }

  /** The environment of this name or id. @throws CliError `unknown_environment`. */
  async environmentNamed(nameOrId: string): Promise<EnvironmentView> {
    const all = await this.environments();
    const found = all.find(({ name }) => name === nameOrId) ?? all.find(({ id }) => id === nameOrId);
    if (found !== undefined) return found;
    throw new CliError('unknown_environment', `there is no environment ${nameOrId}`, {
      cure: 'torcello environment list shows which there are, torcello environment create makes one',
    });
  }

  environment(id: string, sessionId?: string): Promise<EnvironmentView> {
    const headers = sessionId === undefined ? {} : { 'x-configuration-session': sessionId };
    return this.http.json(`/v1/environments/${id}`, { headers });
  }

  createEnvironment(name: string): Promise<EnvironmentView> {
    return this.http.json('/v1/environments', { method: 'POST', json: { name } });
  }

  /** Resolves with the id of the deployment that destroys what is deployed; undefined when nothing was. */
  async deleteEnvironment(id: string, abandon: boolean, signal?: AbortSignal): Promise<string | undefined> {
    const response = await this.http.send(`/v1/environments/${id}?abandon=${abandon}`, { method: 'DELETE', signal });
    return response.headers.get('x-torcello-deployment') ?? undefined;
  }

  configure(environmentId: string): Promise<SessionView> {
    return this.http.json(`/v1/environments/${environmentId}/configure`, { method: 'POST' });
  }

  /** The newest session with staged changes that can still be deployed. */
  async stagedSession(environmentId: string): Promise<SessionView | undefined> {
    const path = `/v1/environments/${environmentId}/sessions`;
    const { sessions } = await this.http.json<{ sessions: SessionView[] }>(path);
    return sessions.find(({ state, hasChanges }) => state === 'opened' && hasChanges);
  }

  addService(environmentId: string, sessionId: string, service: ServiceView): Promise<ServiceView> {
    const headers = { 'x-configuration-session': sessionId };
    return this.http.json(`/v1/environments/${environmentId}/services`, { method: 'POST', json: service, headers });
  }

  /** Hands the session over and resolves with the id of the deployment. */
  async deploySession(environmentId: string, sessionId: string, request: DeployRequest = {}): Promise<string> {
    const path = `/v1/environments/${environmentId}/sessions/${sessionId}/deploy`;
    const json = Object.keys(request).length === 0 ? {} : { json: request };
    const response = await this.http.send(path, { method: 'POST', ...json });
    const id = response.headers.get('x-torcello-deployment');
    if (id !== null) return id;
    throw new CliError('bad_answer', 'the API did not name the deployment', { exitCode: exitCodes.allFailed });
  }

  async packages(): Promise<readonly PackageView[]> {
    const all: PackageView[] = [];
    let marker: string | undefined;
    do {
      const page = `limit=${packagesPerPage}${marker === undefined ? '' : `&marker=${marker}`}`;
      const answer = await this.http.json<{ packages: PackageView[]; next_marker?: string }>(
        `/v1/catalog/packages?${page}`,
      );
      all.push(...answer.packages);
      marker = answer.packages.length === 0 ? undefined : answer.next_marker;
    } while (marker !== undefined);
    return all;
  }

  /** The package of this id or `FQN[@VERSION]`; without a version the newest import. @throws CliError `unknown_package`. */
  async packageNamed(text: string): Promise<PackageView> {
    const { name, version } = splitPackageName(text);
    const all = await this.packages();
    const byName = all.filter((item) => item.fully_qualified_name === name);
    const fitting = byName.filter((item) => version === undefined || item.version === version);
    const found =
      fitting.toSorted((a, b) => b.created.localeCompare(a.created))[0] ?? all.find(({ id }) => id === text);
    if (found !== undefined) return found;
    const versions = byName.map((item) => item.version).join(', ');
    throw new CliError(
      'unknown_package',
      versions === ''
        ? `there is no package ${name}`
        : `package ${name} has no version ${version}; there is ${versions}`,
      { cure: 'torcello package list shows which there are, torcello package import brings one in' },
    );
  }

  importPackage(zip: Uint8Array): Promise<PackageView> {
    const bytes = { type: 'application/zip', body: zip };
    return this.http.json('/v1/catalog/packages', { method: 'POST', bytes });
  }

  async deletePackage(id: string): Promise<void> {
    await this.http.send(`/v1/catalog/packages/${id}`, { method: 'DELETE' });
  }

  async machines(environmentId: string): Promise<readonly MachineView[]> {
    const { machines } = await this.http.json<{ machines: MachineView[] }>(
      `/v1/environments/${environmentId}/machines`,
    );
    return machines;
  }

  async addMachines(environmentId: string, request: MachineRequest): Promise<readonly MachineView[]> {
    const { machines } = await this.http.json<{ machines: MachineView[] }>(
      `/v1/environments/${environmentId}/machines`,
      { method: 'POST', json: request },
    );
    return machines;
  }

  /** How a machine with a muranoagent is set up; both hold its login at the broker. */
  async muranoSetup(machineId: string, what: 'agent-conf' | 'user-data'): Promise<string> {
    return (await this.http.send(`/v1/machines/${machineId}/${what}`)).text();
  }

  /** A new join line; the token of the old one is void then. */
  async newJoinLine(machineId: string): Promise<string> {
    const path = `/v1/machines/${machineId}/join-line`;
    const { joinLine } = await this.http.json<{ joinLine: string }>(path, { method: 'POST' });
    return joinLine;
  }

  /** A new join line for a machine that was made anew: what was open for the agent before ends. */
  replaceMachine(machineId: string): Promise<EndedPlans & { readonly joinLine: string }> {
    return this.http.json(`/v1/machines/${machineId}/join-line?replace=1`, { method: 'POST' });
  }

  /** Takes a machine away; what was open on it ends. */
  deleteMachine(machineId: string): Promise<EndedPlans> {
    return this.http.json(`/v1/machines/${machineId}`, { method: 'DELETE' });
  }

  async agents(): Promise<readonly AgentView[]> {
    const { agents } = await this.http.json<{ agents: AgentView[] }>('/v1/agents');
    return agents;
  }

  async deployments(environmentId: string | undefined): Promise<readonly DeploymentRow[]> {
    const path = environmentId === undefined ? '/v1/deployments' : `/v1/environments/${environmentId}/deployments`;
    const { deployments } = await this.http.json<{ deployments: DeploymentRow[] }>(path);
    return deployments;
  }

  deployment(id: string, signal?: AbortSignal): Promise<DeploymentView> {
    return this.http.json(`/v1/deployments/${encodeURIComponent(id)}`, { signal });
  }

  /** What a deployment of the session would do, in which order, without doing it. */
  rollout(environmentId: string, sessionId: string | undefined, request: DeployRequest): Promise<RolloutView> {
    const search = new URLSearchParams(sessionId === undefined ? {} : { session: sessionId });
    for (const [name, value] of Object.entries(request)) search.set(name, String(value));
    const query = search.size === 0 ? '' : `?${search.toString()}`;
    return this.http.json(`/v1/environments/${environmentId}/plan${query}`);
  }

  /** Asks for the end of a deployment; running steps get `graceMs` to end by themselves. */
  async cancel(deploymentId: string, graceMs: number): Promise<void> {
    const path = `/v1/deployments/${encodeURIComponent(deploymentId)}/cancel`;
    await this.http.send(path, { method: 'POST', json: { graceMs } });
  }

  /** Another attempt of what failed and what never started. */
  async resume(deploymentId: string, request: ResumeRequest): Promise<void> {
    const path = `/v1/deployments/${encodeURIComponent(deploymentId)}/resume`;
    await this.http.send(path, { method: 'POST', json: request });
  }

  why(id: string): Promise<WhyAnswer> {
    return this.http.json(`/v1/why/${encodeURIComponent(id)}`);
  }

  /** All of them, in the order of environments and machines. */
  async mailboxes(environment?: string): Promise<readonly MailboxView[]> {
    const all: MailboxView[] = [];
    for (let marker: string | undefined, isMore = true; isMore; isMore = marker !== undefined) {
      const search = new URLSearchParams(environment === undefined ? {} : { environment });
      if (marker !== undefined) search.set('marker', marker);
      const query = search.size === 0 ? '' : `?${search.toString()}`;
      const page = await this.http.json<{ mailboxes: MailboxView[]; next?: string }>(`/v1/mailboxes${query}`);
      all.push(...page.mailboxes);
      marker = page.next;
    }
    const place = ({ environment: of, machine }: MailboxView): string => `${of ?? ''} ${machine?.name ?? ''}`;
    return all.toSorted((a, b) => place(a).localeCompare(place(b), 'en', { numeric: true }));
  }

  mailbox(name: string): Promise<MailboxView> {
    return this.http.json(`/v1/mailboxes/${encodeURIComponent(name)}`);
  }

  /** Puts what is or was in it, and has not ended, into it again: all of it, or one letter. */
  redeliver(name: string, letterId?: string): Promise<RedeliveryView> {
    const json = letterId === undefined ? {} : { json: { id: letterId } };
    return this.http.json(`/v1/mailboxes/${encodeURIComponent(name)}/redeliver`, { method: 'POST', ...json });
  }

  deleteMailbox(name: string): Promise<DeletedMailboxView> {
    return this.http.json(`/v1/mailboxes/${encodeURIComponent(name)}`, { method: 'DELETE' });
  }

  async deadLetters(): Promise<readonly DeadLetterView[]> {
    const { deadLetters } = await this.http.json<{ deadLetters: DeadLetterView[] }>('/v1/dead-letters');
    return deadLetters;
  }

  deadLetter(id: string): Promise<DeadLetterView> {
    return this.http.json(`/v1/dead-letters/${encodeURIComponent(id)}`);
  }

  requeueDeadLetter(id: string): Promise<DeadLetterView> {
    return this.http.json(`/v1/dead-letters/${encodeURIComponent(id)}/requeue`, { method: 'POST' });
  }

  discardDeadLetter(id: string): Promise<DeadLetterView> {
    return this.http.json(`/v1/dead-letters/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }

  /** The history, and what agents told of it that a restored database does not know. */
  history(deploymentId: string): Promise<HistoryAnswer> {
    return this.http.json(`/v1/deployments/${encodeURIComponent(deploymentId)}/events`);
  }

  async quarantine(): Promise<readonly QuarantinedView[]> {
    const { results } = await this.http.json<{ results: QuarantinedView[] }>('/v1/quarantine');
    return results;
  }

  async discardQuarantined(planId: string): Promise<void> {
    await this.http.send(`/v1/quarantine/${encodeURIComponent(planId)}`, { method: 'DELETE' });
  }

  /** Tokens that were made, without themselves. */
  async tokens(): Promise<readonly TokenView[]> {
    const { tokens } = await this.http.json<{ tokens: TokenView[] }>('/v1/tokens');
    return tokens;
  }

  /** Only this answer holds the token. */
  createToken(
    of: Pick<TokenView, 'tenant' | 'user' | 'admin'>,
  ): Promise<{ readonly id: string; readonly token: string }> {
    return this.http.json('/v1/tokens', { method: 'POST', json: of });
  }

  async revokeToken(id: string): Promise<void> {
    await this.http.send(`/v1/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }

  /** The last output of each step; `past` says why there is none any more. */
  output(deploymentId: string, query: OutputQuery): Promise<OutputAnswer> {
    const search = new URLSearchParams({ tailBytes: String(query.tailBytes) });
    if (query.machine !== undefined) search.set('machine', query.machine);
    if (query.step !== undefined) search.set('step', query.step);
    return this.http.json(`/v1/deployments/${encodeURIComponent(deploymentId)}/output?${search.toString()}`);
  }
}

/** Plans that were open on a machine that came to its end. */
export interface EndedPlans {
  readonly endedPlans?: readonly EndedPlanView[];
}

export interface ResumeRequest {
  /** Service id to the id of its corrected package. */
  readonly packages?: Readonly<Record<string, string>>;
  /** Instead of the deployment's own. */
  readonly deliverWithinMs?: number;
}

/** How a deployment is rolled out; what is left out is as the application says, or without a bound. */
export interface DeployRequest {
  /** A machine that has not fetched its plan by then does not run it. */
  readonly deliverWithinMs?: number;
  /** Of two deployments with the same key the newer one ends the older one's claim to run. */
  readonly supersedes?: string;
  /** Machines at a time: a number, or a percentage of the stage's machines as `20%`. */
  readonly batch?: number | string;
  /** So many machines of a stage may fail. */
  readonly maxFailures?: number;
}

export interface MachineRequest {
  readonly role: string;
  /** How long their mailboxes live without contact. */
  readonly lifetimeMs?: number;
  readonly kind?: 'muranoagent';
  readonly count?: number;
  readonly names?: readonly string[];
}

export interface OutputQuery {
  readonly machine?: string | undefined;
  readonly step?: string | undefined;
  /** So much of the end of every step's output. */
  readonly tailBytes: number;
}

/** Takes `FQN[@VERSION]` apart. */
export function splitPackageName(text: string): { readonly name: string; readonly version: string | undefined } {
  const at = text.lastIndexOf('@');
  if (at === -1) return { name: text, version: undefined };
  if (at === 0 || at === text.length - 1) throw usageError(`${text} is no FQN[@VERSION]`, 'io.torcello.HelloWeb@1.0.0');
  return { name: text.slice(0, at), version: text.slice(at + 1) };
}
