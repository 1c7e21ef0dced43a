import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rolloutLines } from '../src/output/rollout-text.js';
import { fakeApi, torcello } from './support.js';

const since = '2026-01-01T00:00:00.000Z';
const until = '2026-01-06T00:00:00.000Z';
const waits = {
  code: 'join-token-unused',
  text: 'nobody has joined as web-10 yet',
  since,
  until,
  cure: 'torcello machine join-line m1',
};
const letter = { id: 'plan1', kind: 'plan', planId: 'plan1', deploymentId: 'd1', state: 'stored', since, bytes: 2048 };
const open = {
  name: 'mailbox-m1',
  state: 'open',
  machine: { id: 'm1', name: 'web-10' },
  environment: 'shop',
  expiresAt: until,
  waiting: 1,
  letters: [letter],
  broker: { messages: 1, readers: 0 },
  why: waits,
};
const closed = {
  name: 'mailbox-m2',
  state: 'closed',
  reason: 'lifetime',
  machine: { id: 'm2', name: 'web-9' },
  environment: 'shop',
  lastContactAt: since,
  closedAt: until,
  waiting: 0,
  letters: [{ ...letter, state: 'expired' }],
};
const dead = {
  id: 'x1',
  source: 'torcello.results',
  routingKey: 'm1.result',
  machine: { id: 'm1', name: 'web-10' },
  reason: 'not_json',
  attempts: 5,
  at: since,
  bytes: 12,
};

test('deploy --plan says when the mailboxes of machines that are off end', () => {
  const machines = [
    { name: 'web-1', state: 'online', mailboxExpiresAt: since },
    { name: 'web-2', state: 'lost', mailboxExpiresAt: until },
    { name: 'web-3', state: 'never joined', isMailboxEnded: true },
  ];
  assert.deepEqual(rolloutLines({ stages: [{ name: 's/web', machines }] }).slice(-3), [
    'Off now, their plans wait: web-2, web-3',
    `The first of their mailboxes ends ${until} (web-2), and the plan in it with it`,
    'Without a mailbox, their plans expire at once: web-3; see torcello mailbox list',
  ]);
});

test('mailboxes and dead letters are listed, and each verb asks its own route', async () => {
  await using api = await fakeApi({
    'GET /v1/mailboxes': ({ query }) =>
      query.get('marker') === null ? { mailboxes: [open], next: 'mailbox-m1' } : { mailboxes: [closed] },
    'GET /v1/mailboxes/mailbox-m1': () => open,
    'GET /v1/mailboxes/mailbox-m2': () => closed,
    'POST /v1/mailboxes/mailbox-m1/redeliver': ({ body }) => ({
      mailbox: 'mailbox-m1',
      redelivered: body.length === 0 ? [{ id: 'plan1' }, { id: 'cancel-plan2' }] : [],
      left:
        body.length === 0 ? [] : [{ id: 'plan1', reason: 'the plan has ended: expired', cure: 'torcello resume d1' }],
    }),
    'DELETE /v1/mailboxes/mailbox-m1': () => ({
      mailbox: 'mailbox-m1',
      state: 'closed',
      plans: [{ planId: 'plan1', deploymentId: 'd1', became: 'cancelled' }],
    }),
    'GET /v1/dead-letters': () => ({ deadLetters: [dead] }),
    'GET /v1/dead-letters/x1': () => ({ ...dead, headers: { a: 1 }, text: '{"x":\u001b[31m' }),
    'POST /v1/dead-letters/x1/requeue': () => dead,
    'DELETE /v1/dead-letters/x1': () => dead,
  });
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [
      ['mailbox', 'list', '--environment', 'shop'],
      /^MAILBOX .*\nmailbox-m2 +web-9 +shop +closed +0 .* ago +2026-01-06.*\nmailbox-m1 +web-10 +shop +open +1 +never +2026/m,
    ],
    [
      ['mailbox', 'show', 'mailbox-m1'],
      /^mailbox-m1 of web-10 in shop: open\nLast contact never, ends .*\nAt the broker: 1 letters, 0 readers\n.*\n {2}try: .*\nLETTER .*\nplan1 +plan +d1 +stored +2026.* +- +2\.0 KiB\n/,
    ],
    [
      ['mailbox', 'show', 'mailbox-m2'],
      /^mailbox-m2 of web-9 in shop: closed \(lifetime\)\n.* ago, ended 2026.*\nLETTER .*\nplan1 .* expired /,
    ],
    [['mailbox', 'redeliver', 'mailbox-m1'], /^Put again into mailbox-m1: 2 letters$/m],
    [
      ['mailbox', 'redeliver', 'mailbox-m1', 'plan1'],
      /^Put again into mailbox-m1: 0 letters\nNot plan1: the plan has ended: expired; try: torcello resume d1$/m,
    ],
    [['mailbox', 'delete', 'mailbox-m1'], /^mailbox-m1 is closed\nplan1 of d1: cancelled$/m],
    [['deadletter', 'list'], /^x1 +torcello\.results +web-10 +2026-01-01T00:00:00.000Z +5 +12 B +not_json$/m],
    [
      ['deadletter', 'show', 'x1'],
      /^x1 from web-10 to torcello\.results \(m1\.result\)\n.* after 5 attempts: not_json\n.*\n.*\n\{"x":\ufffd\[31m\nTry: /,
    ],
    [['deadletter', 'requeue', 'x1'], /^Requeued x1;/m],
    [['deadletter', 'discard', 'x1'], /^Discarded x1$/m],
  ];
  for (const [args, told] of table) {
    const result = await torcello(args, api);
    assert.equal(result.exitCode, 0, result.stderr);
    assert.match(result.stdout, told);
  }
  const sent = api.seen.find(({ method, body }) => method === 'POST' && body.length > 0);
  assert.deepEqual(JSON.parse(String(sent?.body)), { id: 'plan1' });
  assert.deepEqual(
    api.seen.filter(({ path }) => path === '/v1/mailboxes').map(({ query }) => query.get('environment')),
    ['shop', 'shop'],
  );
  const json = await torcello(['mailbox', 'list', '--json'], api);
  assert.deepEqual(JSON.parse(json.stdout), [closed, open]);
});
