import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { connect, rpcClient, rpcServer } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import type { Service } from '@torcello/platform';
import { rabbitMqMissing, run, startRabbitMq, temporaryFolder } from '@torcello/test-support';
import type { RabbitMq, Running } from '@torcello/test-support';
import { root } from './tidy/sources.js';

/**
 * Debian's real murano-engine: it is handed a task as murano-api hands it, sends a plan that our agent executes, and
 * reports a result, which is answered as murano-api answers it.
 */

const coreLibrary = '/usr/share/murano-common/io.murano.zip';
const isEngineThere = existsSync('/usr/lib/python3/dist-packages/murano') && existsSync(coreLibrary);
const missing =
  rabbitMqMissing() ??
  (isEngineThere ? undefined : 'murano is not installed (apt-get install python3-murano murano-common)');
if (missing !== undefined) console.error(`NOT TESTED with the real murano-engine: ${missing}`);

const environmentId = '92af20c322584f8ab4644333543aaba8';
const instanceId = 'f14a23246bf649ecbbb4e60cbb49d8db';

const files: Readonly<Record<string, string>> = {
  'manifest.yaml': `Format: 1.0
Type: Application
FullName: io.test.Local
Name: Local
Description: A machine that is there already
Author: tests
Tags: []
Classes:
  io.test.LocalInstance: LocalInstance.yaml
  io.test.LocalApp: LocalApp.yaml
`,
  'Classes/LocalInstance.yaml': `Namespaces:
  =: io.test
  res: io.murano.resources
Name: LocalInstance
Extends: res:LinuxMuranoInstance
Methods:
  deploy:
    Body:
      - $.ipAddresses: ['127.0.0.1']
`,
  'Classes/LocalApp.yaml': `Namespaces:
  =: io.test
  std: io.murano
  res: io.murano.resources
  sys: io.murano.system
Name: LocalApp
Extends: std:Application
Properties:
  who:
    Contract: $.string().notNull()
  instance:
    Contract: $.class(res:Instance).notNull()
  said:
    Contract: $.string()
    Usage: Out
Methods:
  deploy:
    Body:
      - $.instance.deploy()
      - $resources: new(sys:Resources)
      - $template: $resources.yaml('Hello.template').bind(dict(who => $.who))
      - $answer: $.instance.agent.call($template, $resources)
      - $.said: $answer.stdout
`,
  'Resources/Hello.template': `FormatVersion: 2.0.0
Version: 1.0.0
Name: Say hello
Parameters:
  who: $who
Body: |
  return hello('{0}'.format(args.who))
Scripts:
  hello:
    Type: Application
    Version: 1.0.0
    EntryPoint: hello.sh
    Files: []
    Options:
      captureStdout: true
      captureStderr: true
`,
  'Resources/scripts/hello.sh': '#!/bin/sh\necho "Hello $1 from $(basename "$0")"\n',
};

function taskFor(who: string): Record<string, unknown> {
  const network = { useEnvironmentNetwork: false, useFlatNetwork: false, customNetworks: [], primaryNetwork: null };
  const instance = {
    '?': { id: instanceId, type: 'io.test.LocalInstance' },
    name: 'vm1',
    flavor: 'none',
    image: 'none',
    networks: network,
  };
  const application = { '?': { id: '03b78b27a6594377b702cee9aaecb243', type: 'io.test.LocalApp' }, who, instance };
  const environment = {
    '?': { id: environmentId, type: 'io.murano.Environment', metadata: {} },
    name: 'shop',
    defaultNetworks: { environment: null, flat: null },
    applications: [application],
  };
  return {
    action: { object_id: environmentId, method: 'deploy', args: {} },
    model: { Objects: environment, Attributes: [], project_id: 'tenant', user_id: 'user' },
    token: 'user:tenant:admin',
    project_id: 'tenant',
    user_id: 'user',
    id: environmentId,
  };
}

interface Result {
  readonly environment_id: string;
  readonly result: {
    readonly action: { readonly result: unknown; readonly isException: boolean };
    readonly model: {
      readonly Objects: { readonly applications: readonly { readonly said?: string }[] };
      readonly Attributes: readonly (readonly string[])[];
    };
  };
}

describe('a deployment of the real murano-engine', { skip: missing ?? false }, () => {
  const folder = temporaryFolder('murano-engine');
  const programs: Running[] = [];
  let rabbit: RabbitMq;
  let vhost = '';
  let transport: Transport;
  let results: Service;
  let told: (result: Result) => void = () => undefined;

  before(async () => {
    rabbit = await startRabbitMq();
    vhost = await rabbit.freshVhost();
    // The flags of a Murano that was never configured: exchanges and queues that a restart of the broker takes.
    const url = `${rabbit.url(vhost)}?amqp_durable_queues=false`;
    transport = await connect(url, { drivers: [amqp091Driver()] });
    const target = { exchange: 'murano', topic: 'results' };
    results = rpcServer(transport, { ...target, server: 'torcello' }, [
      { methods: { process_result: (args) => (told(args as unknown as Result), null) } },
    ]);
    await results.start();
    writeEngine();
  });

  after(async () => {
    await Promise.all(programs.map((program) => program.stop('SIGKILL')));
    await results?.stop();
    await transport?.close();
    await rabbit?.stop();
    folder.remove();
  });

  function writeEngine(): void {
    const packages = path.join(folder.path, 'packages');
    const core = path.join(packages, 'io.murano');
    mkdirSync(core, { recursive: true });
    execFileSync('/usr/bin/python3', ['-m', 'zipfile', '-e', coreLibrary, core]);
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(packages, 'io.test.Local', name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
    const conf = [
      '[DEFAULT]',
      `transport_url = rabbit://guest:guest@${rabbit.host}:${rabbit.port}/${vhost}`,
      `log_file = ${path.join(folder.path, 'engine.log')}`,
      '[database]',
      `connection = sqlite:///${path.join(folder.path, 'murano.db')}`,
      '[networking]',
      'driver = nova',
      '[engine]',
      'use_trusts = False',
      'engine_workers = 1',
      'agent_timeout = 120',
      `load_packages_from = ${packages}`,
      `packages_cache = ${path.join(folder.path, 'cache')}`,
      'signing_key = /nonexistent',
      '[rabbitmq]',
      `host = ${rabbit.host}`,
      `port = ${rabbit.port}`,
      'login = guest',
      'password = guest',
      `virtual_host = ${vhost}`,
      '[keystone_authtoken]',
      'www_authenticate_uri = http://127.0.0.1:9',
      '[murano_auth]',
      'www_authenticate_uri = http://127.0.0.1:9',
      '',
    ];
    writeFileSync(path.join(folder.path, 'murano.conf'), conf.join('\n'));
  }

  /** Our agent with the `agent.conf` that Murano would put on the machine; its answers' queue is known after the first try. */
  async function startAgent(resultsQueue: string): Promise<void> {
    const conf = [
      '[DEFAULT]',
      `storage = ${path.join(folder.path, 'agent')}`,
      '[rabbitmq]',
      `host = ${rabbit.host}`,
      `port = ${rabbit.port}`,
      'login = guest',
      'password = guest',
      `virtual_host = ${vhost}`,
      `input_queue = e${environmentId}-h${instanceId}`,
      `result_routing_key = ${resultsQueue}`,
      '',
    ];
    const file = path.join(folder.path, 'agent.conf');
    writeFileSync(file, conf.join('\n'));
    const agent = run(process.execPath, [path.join(root, 'packages/agent/bin/torcello-agent.js'), '--murano', file]);
    programs.push(agent);
    await agent.line((line) => line.startsWith('{"ready"'));
  }

  test('our agent executes its plan, and its result is taken', async () => {
    const engine = ['import sys', 'from murano.cmd import engine', 'sys.exit(engine.main())'].join('\n');
    const args = ['-c', engine, '--config-file', path.join(folder.path, 'murano.conf')];
    programs.push(run('/usr/bin/python3', args));
    const got = new Promise<Result>((resolve) => (told = resolve));
    // Waits for the engine: its task queue is there when it runs.
    const client = rpcClient(transport, { exchange: 'murano', topic: 'tasks' });
    await eventually(async () => (await transport.inspect({ queue: 'tasks' })).consumers > 0);
    await client.cast('handle_task', { task: taskFor('world') });
    const queue = await eventually(async () => {
      const names = (await rabbit.control('list_queues', '-q', '-p', vhost, 'name')).split('\n');
      return names.find((name) => name.startsWith('-execution-results-'));
    });
    await startAgent(queue.trim());
    const { result, environment_id: id } = await got;
    assert.equal(id, environmentId);
    assert.equal(result.action.isException, false, JSON.stringify(result.action));
    assert.equal(result.model.Objects.applications[0]?.said, 'Hello world from hello.sh');
  });
});

/** Looks again and again at what a foreign program does; a minute and a half at most. */
async function eventually<T>(look: () => Promise<T | undefined | false>): Promise<T> {
  let failure: unknown;
  for (let tries = 0; tries < 450; tries += 1) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
    } catch (error) {
      failure = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error('it did not come', { cause: failure });
}
