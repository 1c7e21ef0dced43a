import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeApi, sendEvents, torcello, type Route } from './support.js';

function chunk(machine: string, offset: number, text: string): Readonly<Record<string, unknown>> {
  return { planId: `plan-${machine}`, machine, stage: 's/web', step: 'start', offset, text };
}

/** The same as the API sends it. */
function sent(machine: string, offset: number, text: string | Uint8Array): Readonly<Record<string, unknown>> {
  return { ...chunk(machine, offset, ''), data: Buffer.from(text).toString('base64') };
}

type Sent = { readonly event: string; readonly id?: string; readonly data: unknown } | undefined;

/** One list of events for every time that the stream is opened. */
function streams(...opened: readonly (readonly Sent[])[]): { readonly route: Route; readonly lastIds: unknown[] } {
  const lastIds: unknown[] = [];
  const route: Route = (request, response) => {
    lastIds.push(request.headers['last-event-id']);
    sendEvents(response, opened[lastIds.length - 1] ?? []);
  };
  return { route, lastIds };
}

const path = 'GET /v1/deployments/d1/output';
const finished = { event: 'finished', data: {} };

test('the output of several machines comes line by line under their names, also what ends without a line feed', async () => {
  const { route } = streams([
    { event: 'chunk', id: '1', data: sent('web-1', 0, 'one\ntw') },
    { event: 'chunk', id: '2', data: sent('web-2', 0, 'uno\ndo') },
    { event: 'chunk', id: '3', data: sent('web-1', 6, 'o\n\u001b[2Jend') },
    { event: 'cut', data: { planId: 'plan-web-2', machine: 'web-2', step: 'start', totalBytes: 300, sha256: 'abc' } },
    { event: 'future', data: 1 },
    finished,
  ]);
  await using api = await fakeApi({ [path]: route });
  const result = await torcello(['logs', 'd1', '--machine', 'web-1', '--follow'], api);
  assert.equal(result.exitCode, 0, result.stderr);
  assert.equal(
    result.stdout,
    [
      'web-1 start | one',
      'web-2 start | uno',
      'web-1 start | two',
      'web-2 start | do',
      'web-2 start | … cut here: 300 bytes in all, SHA-256 abc',
      'web-1 start | \ufffd[2Jend',
      '',
    ].join('\n'),
  );
  assert.equal(api.seen[0]?.query.get('follow'), '1');
  assert.equal(api.seen[0]?.query.get('machine'), 'web-1');
});

test('a broken stream goes on after what was seen: nothing twice, and a gap is told', async () => {
  const { route, lastIds } = streams(
    [{ event: 'chunk', id: '7', data: sent('web-1', 0, 'ä one\n') }],
    [
      { event: 'chunk', id: '7', data: sent('web-1', 0, 'ä one\n') },
      { event: 'chunk', id: '8', data: sent('web-1', 3, 'one\ntwo\n') },
      { event: 'chunk', id: '9', data: sent('web-1', 21, 'late\n') },
      finished,
    ],
  );
  await using api = await fakeApi({ [path]: route });
  const result = await torcello(['logs', 'd1', '--follow'], api);
  assert.equal(result.exitCode, 0, result.stderr);
  assert.deepEqual(lastIds, [undefined, '7']);
  assert.equal(
    result.stdout,
    'web-1 start | ä one\nweb-1 start | two\nweb-1 start | … 10 bytes are missing here\nweb-1 start | late\n',
  );
  assert.match(result.stderr, /The API is away/);
});

test('a character whose bytes come in two pieces is shown whole', async () => {
  const [first, second] = [Buffer.from('gr\u00fc').subarray(0, 3), Buffer.from('\u00fc\u00df\n').subarray(1)];
  const { route } = streams([
    { event: 'chunk', id: '1', data: sent('web-1', 0, first) },
    { event: 'chunk', id: '2', data: sent('web-1', 3, second) },
    finished,
  ]);
  await using api = await fakeApi({ [path]: route });
  const result = await torcello(['logs', 'd1', '--follow'], api);
  assert.equal(result.stdout, 'web-1 start | gr\u00fc\u00df\n');
});

test('with --json every piece is a line; Ctrl-C ends the following and says so by its exit code', async () => {
  const { route } = streams([{ event: 'chunk', id: '1', data: sent('web-1', 0, 'one\n') }, undefined]);
  await using api = await fakeApi({ [path]: route });
  const result = await torcello(['logs', 'd1', '--follow', '--json'], {
    ...api,
    onWrite: (_, send) => send('SIGINT'),
  });
  assert.equal(result.exitCode, 130);
  assert.deepEqual(JSON.parse(result.stdout), { type: 'output', chunk: chunk('web-1', 0, 'one\n') });
});

test('an API that does not stream is refused instead of asked for again and again', async () => {
  await using api = await fakeApi({ [path]: () => ({ outputs: [] }) });
  const result = await torcello(['logs', 'd1', '--follow'], api);
  assert.equal(result.exitCode, 3);
  assert.match(result.stderr, /does not stream .*\[no_stream\]/);
  assert.equal(api.seen.length, 1);
});
