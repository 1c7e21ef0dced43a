import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { connect, memoryDriver } from '@torcello/messaging';
import type { Driver, Transport } from '@torcello/messaging';
import { silentLogger, systemRandom } from '@torcello/platform';
import type { Logger } from '@torcello/platform';
import { SimulatedClock } from '@torcello/platform/testing';
import { removeFolder } from '@torcello/test-support';
import { Api, sharedAccounts } from '@torcello/api';
import type { ApiOptions } from '@torcello/api';
import { strToU8, zipSync } from 'fflate';

export const signingKey: string = generateKeyPairSync('ed25519')
  .publicKey.export({ type: 'spki', format: 'pem' })
  .toString();

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers freely
  readonly body: any;
  readonly text: string;
}

/** An API on a data folder of its own, over a broker in memory that outlives it. */
export class TestApi {
  readonly api: Api;
  readonly clock: SimulatedClock;
  readonly folder: string;
  readonly driver: Driver;
  readonly #transports: Transport[] = [];

  private constructor(made: { api: Api; clock: SimulatedClock; folder: string; driver: Driver }) {
    this.api = made.api;
    this.clock = made.clock;
    this.folder = made.folder;
    this.driver = made.driver;
  }

  static async open(
    options: Partial<ApiOptions> & {
      readonly folder?: string;
      readonly driver?: Driver;
      readonly testClock?: SimulatedClock;
      readonly logger?: Logger;
    } = {},
  ): Promise<TestApi> {
    const {
      folder = fs.mkdtempSync(path.join(os.tmpdir(), 'torcello-api-')),
      driver = memoryDriver(),
      testClock = new SimulatedClock(),
      ...rest
    } = options;
    const api = await Api.open({
      dataDirectory: folder,
      clock: testClock,
      random: systemRandom,
      logger: silentLogger,
      accounts: () => sharedAccounts('memory://agents/'),
      planKey: () => signingKey,
      publicUrl: 'http://127.0.0.1:8082',
      ...rest,
    });
    return new TestApi({ api, clock: testClock, folder, driver });
  }

  /** Another connection to the broker. */
  async connect(): Promise<Transport> {
    const transport = await connect('memory://test/', { drivers: [this.driver], clock: this.clock });
    this.#transports.push(transport);
    return transport;
  }

  async attach(): Promise<Transport> {
    const transport = await this.connect();
    await this.api.attach(transport);
    return transport;
  }

  async call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: string,
    options: { body?: unknown; headers?: Record<string, string>; token?: string | null } = {},
  ): Promise<Answer> {
    const { body, headers = {}, token = this.api.secrets.adminToken } = options;
    const isBytes = body instanceof Uint8Array;
    const type = isBytes ? 'application/zip' : 'application/json';
    const response = await this.api.server.inject({
      method,
      url,
      headers: {
        ...(body === undefined ? {} : { 'content-type': type }),
        ...(token === null ? {} : { 'x-auth-token': token }),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: isBytes ? Buffer.from(body) : JSON.stringify(body) }),
    });
    const isJson = String(response.headers['content-type'] ?? '').includes('json');
    return {
      status: response.statusCode,
      headers: response.headers,
      text: response.body,
      body: isJson && response.body !== '' ? JSON.parse(response.body) : undefined,
    };
  }

  /** One deployment as people see it. */
  async view(deployment: string): Promise<Answer['body']> {
    return (await this.call('GET', `/v1/deployments/${deployment}`)).body;
  }

  /** A new key, as an agent makes one. */
  agentKey(): string {
    return generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
  }

  /** Stops the API and keeps data folder and broker. */
  async stop(): Promise<void> {
    await this.api.stop();
    for (const transport of this.#transports.splice(0)) await transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    removeFolder(this.folder);
  }
}

export const webApplication = `
properties:
  type: object
  additionalProperties: false
  properties: { port: { type: integer, minimum: 1024, maximum: 65000, default: 8200 }, greeting: { type: string, default: Hello } }
machines: { web: { min: 1, max: 5000 } }
deploy:
  - role: web
    steps: [{ name: start, script: start.sh, timeout: 30s }]
destroy:
  - role: web
    steps: [{ name: stop, command: [sh, stop.sh] }]
`;

/** A package archive; a file given as null is left out. */
export function packageZip(files: Readonly<Record<string, string | null>> = {}): Uint8Array {
  const all: Readonly<Record<string, string | null>> = {
    'manifest.yaml':
      'Format: Torcello/1.0\nType: Application\nFullName: io.torcello.Web\nName: Web\nVersion: 1.0.0\nTags: [http]\n',
    'application.yaml': webApplication,
    'scripts/start.sh': '#!/bin/sh\n',
    ...files,
  };
  const kept = Object.entries(all).flatMap(([name, text]) => (text === null ? [] : [[name, strToU8(text)] as const]));
  return zipSync(Object.fromEntries(kept), { mtime: new Date(2026, 0, 1) });
}

/** An environment `shop` with machines and one staged service; answers their ids. */
export async function stagedShop(
  test: TestApi,
  options: {
    readonly machines?: number;
    readonly properties?: Readonly<Record<string, unknown>>;
    readonly name?: string;
  } = {},
): Promise<{
  readonly environment: string;
  readonly session: string;
  readonly machines: readonly { id: string; name: string; mailbox: string; joinLine: string }[];
}> {
  await test.call('POST', '/v1/catalog/packages', { body: packageZip() });
  const { body: environment } = await test.call('POST', '/v1/environments', { body: { name: options.name ?? 'shop' } });
  const { body: made } = await test.call('POST', `/v1/environments/${environment.id}/machines`, {
    body: { role: 'web', count: options.machines ?? 1 },
  });
  const { body: session } = await test.call('POST', `/v1/environments/${environment.id}/configure`);
  const added = await test.call('POST', `/v1/environments/${environment.id}/services`, {
    body: { '?': { type: 'io.torcello.Web', id: 'web' }, ...options.properties },
    headers: { 'x-configuration-session': session.id },
  });
  if (added.status !== 200) throw new Error(added.text);
  return { environment: environment.id, session: session.id, machines: made.machines };
}

export async function deployShop(
  test: TestApi,
  options: Parameters<typeof stagedShop>[1] & { readonly deploy?: object } = {},
): Promise<Awaited<ReturnType<typeof stagedShop>> & { readonly deployment: string }> {
  const shop = await stagedShop(test, options);
  const answer = await test.call('POST', `/v1/environments/${shop.environment}/sessions/${shop.session}/deploy`, {
    ...(options.deploy === undefined ? {} : { body: options.deploy }),
  });
  if (answer.status !== 200) throw new Error(answer.text);
  return { ...shop, deployment: String(answer.headers['x-torcello-deployment']) };
}
