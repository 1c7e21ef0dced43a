import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { test } from 'node:test';
import { limits, openLetter, type JoinAnswer } from '@torcello/contracts/agent';
import fc from 'fast-check';
import { LetterOpener } from '../src/letters.js';
import { PlanKeys, headerOf, machineId, mailbox, payloadOf, planIdOf } from './support/control.js';
import { Fixture } from './support/fixture.js';

const keys = new PlanKeys();
const identity: Pick<JoinAnswer, 'machineId' | 'mailbox' | 'planKey'> = { machineId, mailbox, planKey: keys.publicPem };
const opener = new LetterOpener(identity);

test('a signed letter is opened', () => {
  const opened = opener.openPlan(keys.seal(headerOf(keys), payloadOf([{ command: ['true'] }])));
  assert.ok(opened.isGood);
  assert.equal(opened.header.planId, planIdOf(1));
  assert.ok(typeof opened.payload === 'object');
  assert.deepEqual(opened.payload.steps[0]?.command, ['true']);
});

test('a letter with any byte changed, in any way, is refused', () => {
  const letter = keys.seal(headerOf(keys), payloadOf([{ command: ['true'] }]));
  for (let at = 0; at < letter.length; at += 1) {
    for (const flip of [1, 0x80, 0xff]) {
      const bad = Uint8Array.from(letter);
      bad[at] = (bad[at] ?? 0) ^ flip;
      assert.equal(opener.openPlan(bad).isGood, false, `byte ${at}`);
    }
  }
});

test('a letter cut, lengthened or put together from two is refused', () => {
  const letter = keys.seal(headerOf(keys), payloadOf([]));
  for (let length = 0; length < letter.length; length += 1) {
    assert.equal(opener.openPlan(letter.subarray(0, length)).isGood, false);
  }
  assert.equal(opener.openPlan(Uint8Array.from([...letter, 0])).isGood, false);
  const other = keys.seal(headerOf(keys, { planId: planIdOf(2) }), payloadOf([]));
  const [one, two] = [openLetter(letter), openLetter(other)];
  assert.ok(one !== undefined && two !== undefined);
  const mixed = keys.sealBytes(one.header, two.payload);
  mixed.set(one.signature, mixed.length - 64);
  const opened = opener.openPlan(mixed);
  assert.equal(opened.isGood, Buffer.from(one.payload).equals(Buffer.from(two.payload)));
});

test('arbitrary bytes are refused and nothing else', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => !opener.openPlan(bytes).isGood));
});

const faults: readonly (readonly [string, () => Uint8Array])[] = [
  ['BAD_SIGNATURE', () => new PlanKeys().seal(headerOf(keys), payloadOf([]))],
  ['OTHER_KEY', () => keys.seal(headerOf(keys, { kid: '0'.repeat(16) }), payloadOf([]))],
  ['OTHER_MACHINE', () => keys.seal(headerOf(keys, { machineId: 'b'.repeat(32) }), payloadOf([]))],
  ['OTHER_MAILBOX', () => keys.seal(headerOf(keys, { mailbox: 'agent.mbox.x' }), payloadOf([]))],
  ['BAD_HEADER', () => keys.seal({ ...headerOf(keys), planId: '../../etc' }, payloadOf([]))],
  ['BAD_HEADER', () => keys.seal({ ...headerOf(keys), epoch: -1 }, payloadOf([]))],
  ['BAD_HEADER', () => keys.sealBytes(new TextEncoder().encode('{'), new TextEncoder().encode('{}'))],
  ['BAD_HEADER', () => keys.sealBytes(Uint8Array.from([0xff, 0xfe]), new TextEncoder().encode('{}'))],
  ['TOO_LARGE', () => new Uint8Array(limits.planBytesMax.value + 1)],
  ['NO_LETTER', () => new Uint8Array(3)],
];
for (const [fault, make] of faults) {
  test(`thrown away: ${fault}`, () => {
    assert.deepEqual(opener.openPlan(make()), { isGood: false, fault });
  });
}

const unreadable: readonly (readonly [string, object | string])[] = [
  ['no JSON', '{'],
  ['another format', { ...payloadOf([]), format: 'torcello/2' }],
  ['another plan', payloadOf([], { planId: planIdOf(2) })],
  ['another deployment', payloadOf([], { deploymentId: 'f'.repeat(32) })],
  ['another machine', payloadOf([], { machine: { id: 'c'.repeat(32), name: 'x', role: 'r', index: 0 } })],
  ['an empty command', payloadOf([{ command: [] }])],
  ['a command with a NUL', payloadOf([{ command: ['a\0b'] }])],
  ['a mode out of bounds', payloadOf([{ files: [{ path: 'x', mode: 0o10000, body: '' }] }])],
  ['a timeout of nothing', payloadOf([{ timeoutMs: 0 }])],
  ['too many steps', payloadOf(Array.from({ length: limits.planStepsMax.value + 1 }, () => ({})))],
];
for (const [what, payload] of unreadable) {
  test(`a well-signed plan that cannot be carried out is answered: ${what}`, () => {
    const opened = opener.openPlan(keys.seal(headerOf(keys), payload));
    assert.ok(opened.isGood);
    assert.equal(typeof opened.payload, 'string');
  });
}

test('hostile letters in the mailbox run nothing, are told, and do not stop the next plan', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const step = { command: ['touch', fixture.ledger] };
  await control.put(new PlanKeys().seal(headerOf(control.keys), payloadOf([step])));
  await control.put(new TextEncoder().encode('{"planId":1}'), 'r', 'receipt');
  await control.put(new Uint8Array(), 'n', 'plan');
  await control.put(new Uint8Array(), 'k', 'surprise');
  await control.plan(1, [step], { mailbox: 'agent.mbox.other' });
  await control.plan(2, []);
  await fixture.startAgent({ heartbeatMs: 50 });
  assert.equal((await control.result(2)).outcome, 'succeeded');
  assert.equal(control.results.length, 1);
  await control.until('the notice', () =>
    control.heartbeats.find(({ notices }) =>
      notices?.some(({ code, count }) => code === 'LETTER_REFUSED' && count === 5),
    ),
  );
  await assert.rejects(access(fixture.ledger));
  assert.equal((await control.boxes.inspect(mailbox)).messages, 0);
});

test('a second letter with the id of a plan and other bytes is thrown away', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent({ heartbeatMs: 50 });
  await control.plan(1, []);
  await control.result(1);
  await control.plan(1, [{ command: ['touch', fixture.ledger] }]);
  await control.until('the notice', () => control.heartbeats.find(({ notices }) => notices !== undefined));
  await assert.rejects(access(fixture.ledger));
});

test('a plan that cannot be read is refused with its reason', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent();
  await control.put(control.keys.seal(headerOf(control.keys), { ...payloadOf([]), format: 'torcello/9' }));
  const result = await control.result(1);
  assert.equal(result.outcome, 'refused');
  assert.match(result.reason ?? '', /format/);
});
