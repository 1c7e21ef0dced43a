import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sleep, systemClock } from '@torcello/platform';
import { run, startRabbitMq, temporaryFolder, type RabbitMq, type Running } from '@torcello/test-support';

/** The program over RabbitMQ, with plans from Kombu, the library that Murano's engine sends with. */

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const [inputQueue, resultsQueue] = ['e1-h1', '-execution-results--x'];
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const folder = temporaryFolder('murano-program');
const conf = path.join(folder.path, 'agent.conf');
const programs: Running[] = [];
let rabbit: RabbitMq;
let vhost: string;

before(async () => {
  rabbit = await startRabbitMq();
  vhost = await rabbit.freshVhost();
  const key = publicKey.export({ type: 'pkcs1', format: 'pem' }).toString().trim().replaceAll('\n', '\n    ');
  writeFileSync(
    conf,
    `[DEFAULT]\nstorage = ${folder.path}/storage\nengine_key = ${key}\n\n[rabbitmq]\nhost = ${rabbit.host}\n` +
      `port = ${rabbit.port}\nlogin = guest\npassword = guest\nvirtual_host = ${vhost}\n` +
      `input_queue = ${inputQueue}\nresult_routing_key = ${resultsQueue}\nresult_exchange =\n`,
  );
});

after(async () => {
  for (const program of programs) await program.stop('SIGKILL');
  await rabbit.stop();
  folder.remove();
});

async function startAgent(): Promise<Running> {
  const program = run(process.execPath, ['--import', 'tsx', '--conditions=source', main, '--murano', conf]);
  programs.push(program);
  assert.deepEqual(JSON.parse(await program.line((line) => line.startsWith('{"ready"'))), {
    ready: true,
    queue: inputQueue,
  });
  return program;
}

const engine = `
import base64, json, socket, sys
import kombu
order = json.load(sys.stdin)
arguments = {'x-ha-policy': 'all', 'x-expires': 86400000}
got = []
with kombu.Connection(order['url']) as connection:
    for name in order['queues']:
        kombu.Queue(name, durable=True, queue_arguments=arguments, channel=connection.default_channel).declare()
    for body, signature in order['plans']:
        connection.Producer().publish(body, routing_key=order['queues'][0], content_type='text/plain',
            content_encoding='utf-8', delivery_mode=2, message_id=json.loads(body)['ID'],
            headers={'signature': base64.b64decode(signature) if signature else None})
    def take(body, message):
        got.append([body, message.properties, message.headers, message.content_type])
        message.ack()
    queue = kombu.Queue(order['queues'][1], durable=True, no_declare=True)
    with connection.Consumer(queue, callbacks=[take], accept=['text/plain']):
        while len(got) < order['answers']:
            connection.drain_events(timeout=60)
print(json.dumps(got))
`;

type Got = readonly (readonly [
  string,
  { readonly message_id: string; readonly delivery_mode: number },
  object,
  string,
])[];

async function ask(plans: readonly (readonly [string, string | null])[], answers: number): Promise<Got> {
  const url = `amqp://guest:guest@${rabbit.host}:${rabbit.port}/${vhost}`;
  const running = promisify(execFile)('/usr/bin/python3', ['-c', engine]);
  running.child.stdin?.end(JSON.stringify({ url, queues: [inputQueue, resultsQueue], plans, answers }));
  return JSON.parse((await running).stdout) as Got;
}

function signed(plan: object): readonly [string, string] {
  const body = JSON.stringify({ FormatVersion: '2.0.0', Files: {}, Scripts: {}, ...plan });
  return [body, sign('sha256', Buffer.from(inputQueue + body), privateKey).toString('base64')];
}

test('waits for its queue, takes signed plans only, and answers as Murano reads it', async () => {
  await startAgent();
  const [body, signature] = signed({ ID: 'a', Stamp: 1, Body: 'return "é"' });
  const [unsigned] = signed({ ID: 'b', Stamp: 2, Body: 'return 1' });
  const wrong = [body.replace('"a"', '"c"'), signature] as const;
  const got = await ask(
    [[unsigned, null], wrong, [body, signature], signed({ ID: 'd', Stamp: 5, Body: 'return 4' })],
    2,
  );
  assert.deepEqual(
    got.map(([text]) => (JSON.parse(text) as { SourceID: string }).SourceID),
    ['a', 'd'],
  );
  const [text, properties, , contentType] = got[0] ?? assert.fail();
  assert.match(text, /"Body": "\\u00e9"/);
  assert.deepEqual([properties.message_id, properties.delivery_mode, contentType], ['a', 2, 'text/plain']);
});

test('kill -9 of the agent takes no plan and no answer away', async () => {
  const [mark, release] = ['mark', 'release'].map((name) => path.join(folder.path, name)) as [string, string];
  const Body = `import os, time\nopen(${JSON.stringify(mark)}, "a").write("x")\nwhile not os.path.exists(${JSON.stringify(release)}): time.sleep(0.05)\nreturn "done"`;
  const asking = ask([signed({ ID: 'k', Stamp: 10, Body }), signed({ ID: 'l', Stamp: 11, Body: 'return 2' })], 2);
  const deadline = AbortSignal.timeout(60_000);
  while (!existsSync(mark)) await sleep(systemClock, 50, deadline);
  await programs[0]?.stop('SIGKILL');
  await startAgent();
  writeFileSync(release, '');
  const answers = (await asking).map(([text]) => JSON.parse(text) as { readonly Body: unknown });
  assert.deepEqual(
    answers.map((answer) => answer.Body),
    ['done', 2],
  );
  assert.equal(readFileSync(mark, 'utf8'), 'x');
});
