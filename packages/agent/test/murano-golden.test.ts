import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { MuranoFixture, readGolden, resultsQueue, withoutChance, type Golden } from './support/murano.js';

/** What our agent answers otherwise, on purpose: the real one is broken there. */
const improved: Readonly<Record<string, (text: string) => string>> = {
  // `input` reaches the script: `cat` says it.
  '06-stdin-and-commandline': (text) => text.replace('"3:a:b c:3"', '"3:a:b c:3\\nfed via stdin"'),
  // A binary file is laid as it is.
  '12-base64-binary-file': (text) => text.replace(/"ErrorCode": 1, "Body": \{[^}]*\}/, '"ErrorCode": 0, "Body": "256"'),
};
/** Replayed by tests of their own below and in murano-agent.test.ts. */
const elsewhere: readonly string[] = ['32b-stamp-duplicate', '52-killed-while-running-with-stamp', '71-signed-plans'];

const folder = new URL('./golden/murano/', import.meta.url);
const names = (await readdir(folder))
  .map((name) => name.replace('.json', ''))
  .filter((name) => !elsewhere.includes(name));

async function replay(name: string, change: (body: string) => string = (body) => body): Promise<void> {
  await using fixture = await MuranoFixture.make();
  const golden = await readGolden(name);
  const requests = golden.requests ?? [golden.request ?? assert.fail('no request')];
  const expected = golden.responses ?? (golden.response ? [golden.response] : []);
  const isEarly = name.startsWith('50-');
  if (!isEarly) await fixture.startAgent();
  for (const { body_raw: body, properties } of requests) {
    await fixture.send({ body: change(body), id: properties.message_id });
  }
  if (isEarly) await fixture.startAgent();
  // What is answered to nothing shows by the answer to the next plan being the next.
  await fixture.sendPlan({ ID: 'afterwards', Body: 'return 1' });
  const answers = await fixture.until(expected.length + 1);
  const improve = improved[name] ?? ((text: string) => text);
  assert.deepEqual(
    answers.slice(0, -1).map(({ text }) => withoutChance(text)),
    expected.map(({ body_raw: text }) => withoutChance(improve(text))),
  );
  assert.match(answers.at(-1)?.text ?? '', /"SourceID": "afterwards"/);
  for (const [index, { delivery }] of answers.slice(0, -1).entries()) {
    const { message, destination } = delivery;
    assert.deepEqual(destination, { exchange: '', routingKey: resultsQueue });
    assert.equal(message.properties.messageId, expected[index]?.properties.message_id);
    assert.equal(message.properties.contentType, 'text/plain');
    assert.equal(message.properties.contentEncoding, 'utf-8');
    assert.deepEqual(message.headers, {});
  }
}

for (const name of names) {
  if (name.startsWith('60-')) continue;
  test(`answers as murano-agent did: ${name}`, () => replay(name));
}

test('answers as murano-agent did: 60-downloadable-2.1.0', async () => {
  const server = http.createServer((_request, response) => response.end('downloaded!\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    await replay('60-downloadable-2.1.0', (body) => body.replace(':18999/', `:${port}/`));
  } finally {
    server.close();
  }
});

test('a plan that came twice is answered once: 32a, 32b', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent();
  for (const name of ['32a-stamp-first', '32b-stamp-duplicate']) {
    const { request } = await readGolden(name);
    await fixture.send({ body: request?.body_raw ?? '', id: request?.properties.message_id });
  }
  await fixture.sendPlan({ ID: 'afterwards', Body: 'return 1' });
  const answers = await fixture.until(2);
  assert.equal(answers.length, 2);
  assert.match(answers[1]?.text ?? '', /"SourceID": "afterwards"/);
});

interface Signed {
  readonly engine_public_key_pem_pkcs1: string;
  readonly cases: readonly (Golden & { readonly case: string })[];
}

test('takes signed plans only, where there is a key: 71', async () => {
  const golden = await readGolden<Signed>('71-signed-plans');
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent({ engineKey: golden.engine_public_key_pem_pkcs1 });
  for (const { request } of golden.cases) {
    const signature = request?.properties.headers?.['signature (bytes; here base64)'];
    const headers = signature === undefined ? {} : { signature: Buffer.from(signature, 'base64') };
    await fixture.send({ body: request?.body_raw ?? '', id: request?.properties.message_id, headers });
  }
  assert.equal(golden.cases.length, 4);
  const expected = golden.cases.filter(({ response }) => response !== null);
  // The bad ones follow the good one: when the queue is read and nothing is on the disk, they are gone without answer.
  await fixture.until(expected.length);
  await fixture.untilIdle();
  assert.deepEqual(
    fixture.answers.map(({ text }) => withoutChance(text)),
    expected.map(({ response }) => withoutChance(response?.body_raw ?? '')),
  );
});
