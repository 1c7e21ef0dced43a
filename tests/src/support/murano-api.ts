import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { freePort, run, temporaryFolder } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';
import { root } from '../tidy/sources.js';
import { until } from './ledger-fleet.js';

/** Why Debian's murano-api cannot be run here, or undefined. */
export function muranoApiMissing(): string | undefined {
  const needed = [
    '/usr/lib/python3/dist-packages/murano/cmd/api.py',
    '/etc/murano/murano-paste.ini',
    '/usr/bin/murano',
  ];
  const isThere = needed.every((file) => existsSync(file));
  return isThere ? undefined : 'murano-api is not installed (apt-get install murano-common python3-muranoclient)';
}

const token = 'user1:tenant1:admin';

interface Report {
  readonly text: string;
  readonly level: string;
}

/** Debian's murano-api on SQLite, which can be killed and started again, and Debian's `murano` command against it. */
export class MuranoApi {
  readonly #folder = temporaryFolder('murano-api');
  readonly #words: readonly string[];
  readonly #port: number;
  #running: Running | undefined;

  private constructor(words: readonly string[], port: number) {
    this.#words = words;
    this.#port = port;
  }

  /** @param transport - Murano's `transport_url`; its exchanges and queues are durable only where it is told so. */
  static async start(transport: string, areQueuesDurable: boolean): Promise<MuranoApi> {
    const api = new MuranoApi([transport, String(areQueuesDurable)], await freePort());
    await api.restart();
    return api;
  }

  async restart(): Promise<void> {
    const folder = path.join(root, 'tests/python');
    const script = path.join(folder, 'murano_api_on_sqlite.py');
    const env = { PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' };
    const running = run('/usr/bin/python3', [script, this.#folder.path, String(this.#port), ...this.#words], { env });
    this.#running = running;
    const isServing = async (): Promise<boolean> => {
      assert.equal(running.child.exitCode, null, running.output().stderr);
      return (await this.#fetch('GET', '/v1/environments').catch(() => undefined))?.ok === true;
    };
    await until(isServing, (serves) => serves);
  }

  kill(): Promise<void> {
    return this.#running?.stop('SIGKILL') ?? Promise.resolve();
  }

  async stop(): Promise<void> {
    await this.kill();
    this.#folder.remove();
  }

  #fetch(method: string, route: string, body?: unknown, headers: Readonly<Record<string, string>> = {}) {
    return fetch(`http://127.0.0.1:${this.#port}${route}`, {
      method,
      headers: { 'x-auth-token': token, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  async request<T>(
    method: string,
    route: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<T> {
    const response = await this.#fetch(method, route, body, headers);
    const text = await response.text();
    assert.ok(response.ok, `${method} ${route}: ${response.status} ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** Runs the `murano` command; what it prints. Its exit code must be 0. */
  command(...words: readonly string[]): Promise<string> {
    const url = `http://127.0.0.1:${this.#port}`;
    const args = ['--os-no-client-auth', '--os-auth-token', token, '--murano-url', url, ...words];
    const env = { PATH: process.env['PATH'] ?? '', HOME: this.#folder.path, LANG: 'C.UTF-8' };
    return new Promise((resolve, reject) => {
      execFile('/usr/bin/murano', args, { cwd: this.#folder.path, env }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`murano ${words.join(' ')}: ${stdout}${stderr}`, { cause: error }));
      });
    });
  }

  /** An environment with this application staged; the ids of environment and session. */
  async staged(name: string, application: object): Promise<{ readonly id: string; readonly session: string }> {
    const { id } = await this.request<{ id: string }>('POST', '/v1/environments', { name });
    return { id, session: await this.stage(id, application) };
  }

  async stage(environment: string, application: object): Promise<string> {
    const session = await this.request<{ id: string }>('POST', `/v1/environments/${environment}/configure`);
    const headers = { 'x-configuration-session': session.id };
    await this.request('POST', `/v1/environments/${environment}/services`, application, headers);
    return session.id;
  }

  async deploy(environment: string, session: string): Promise<void> {
    await this.request('POST', `/v1/environments/${environment}/sessions/${session}/deploy`);
  }

  async status(environment: string): Promise<string> {
    return (await this.request<{ status: string }>('GET', `/v1/environments/${environment}`)).status;
  }

  /** Its status when it is neither deploying nor deleting any more. */
  ended(environment: string): Promise<string> {
    return until(
      () => this.status(environment),
      (status) => !['deploying', 'deleting'].includes(status),
    );
  }

  /** Reports of the newest deployment. */
  async reports(environment: string): Promise<readonly Report[]> {
    const route = `/v1/environments/${environment}/deployments`;
    const { deployments } = await this.request<{ deployments: readonly { id: string }[] }>('GET', route);
    const newest = deployments[0]?.id ?? assert.fail('no deployment');
    return (await this.request<{ reports: readonly Report[] }>('GET', `${route}/${newest}`)).reports;
  }
}
