import assert from 'node:assert/strict';
import test from 'node:test';
import type { Service } from '@torcello/platform';
import { mailboxes, memoryLedger, type LetterRecord, type Mailboxes, type Transport } from '../src/index.js';
import { Collected } from '../src/testing/index.js';
import { bytes, makeWorld, settled } from './support/world.js';

interface Office {
  readonly boxes: Mailboxes;
  readonly changes: Collected<LetterRecord>;
  readonly collector: Service;
}

/** Where letters are sent from and receipts are collected. */
function officeOf(transport: Transport): Office {
  const changes = new Collected<LetterRecord>();
  const boxes = mailboxes(transport, { ledger: memoryLedger(), receipts: 'receipts', onLetter: changes.add });
  return { boxes, changes, collector: boxes.collector() };
}

const said = (letter: string, token: unknown, stage: string) => ({
  id: `${letter}.${stage}`,
  contentType: 'application/vnd.torcello.receipt+json',
  body: bytes(JSON.stringify({ letter, token, stage })),
});

test('a receipt without the word that stands in the letter is dropped, whoever sends it', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await using stranger = await world.join();
  const { boxes, collector } = officeOf(transport);
  await collector.start();
  await boxes.open('m');
  await boxes.put('m', { id: '1', body: bytes('') });
  const forger = mailboxes(stranger);
  await forger.put('receipts', said('1', 'guessed', 'finished'));
  await forger.put('receipts', said('1', undefined, 'finished'));
  await forger.put('receipts', { ...said('1', 'x', 'finished'), body: bytes('{"half') });
  await forger.put('receipts', said('absent', 'x', 'finished'));
  await settled();
  assert.deepEqual(await boxes.inspect('receipts'), { messages: 0, readers: 1 }, 'each was taken');
  const receipt = await boxes.receipt('1');
  assert.deepEqual([receipt?.end, receipt?.reached.finished], [undefined, undefined]);
  const token = receipt?.token;
  await forger.put('receipts', said('1', token, 'paid'));
  await forger.put('receipts', said('1', token, 'started'));
  await settled();
  assert.notEqual((await boxes.receipt('1'))?.reached.started, undefined, 'the right word counts');
  await collector.stop();
});

test('receipts wait while nobody collects them, and said twice or out of order they change nothing', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await using far = await world.join();
  const { boxes, collector } = officeOf(transport);
  await boxes.open('receipts');
  await boxes.open('m');
  await boxes.put('m', { id: '1', body: bytes('') });
  const reader = mailboxes(far);
  for await (const letter of reader.read('m', { acceptMeans: 'nothing' })) {
    await letter.report('finished', { outcome: 'ok' });
    await letter.report('started');
    await letter.report('finished', { outcome: 'again' });
    letter.accept();
    break;
  }
  await reader.flush();
  await world.clock.advance(5_000);
  assert.equal((await boxes.receipt('1'))?.end, undefined);
  await collector.start();
  await settled();
  await collector.stop();
  const receipt = await boxes.receipt('1');
  assert.deepEqual([receipt?.end?.how, receipt?.outcome?.outcome], ['finished', 'ok']);
});

test('what ran after its end is written beside it, and the end stays', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await using far = await world.join();
  const { boxes, collector } = officeOf(transport);
  await collector.start();
  for (const name of ['m', 'told']) await boxes.open(name);
  await boxes.put('m', { id: '1', body: bytes(''), tell: 'told' });
  const letter = await mailboxes(far).take('m');
  await settled();
  assert.equal((await boxes.withdraw('1')).end?.how, 'withdrawn');
  await letter?.report('started');
  await letter?.report('finished', { outcome: 'ok', result: bytes('42') });
  await settled();
  await boxes.flush();
  const receipt = await boxes.receipt('1');
  assert.deepEqual([receipt?.end?.how, receipt?.outcome?.outcome], ['withdrawn', 'ok']);
  assert.match((await boxes.explain('1')).text, /withdrawn.*run all the same/);
  assert.equal((await boxes.take('told'))?.id, '1.withdrawn');
  assert.equal(await boxes.take('told'), undefined, 'its sender was told once');
  letter?.accept();
  await collector.stop();
});

test('a sender that cannot be told now is told by a later sweep', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const { boxes } = officeOf(transport);
  await boxes.open('m');
  await boxes.put('m', { id: '1', body: bytes(''), tell: 'not open yet' });
  await boxes.withdraw('1');
  await boxes.flush();
  assert.equal((await boxes.receipt('1'))?.isTold, false);
  await boxes.open('not open yet');
  await boxes.sweep();
  assert.equal((await boxes.take('not open yet'))?.id, '1.withdrawn');
  await boxes.sweep();
  assert.equal(await boxes.take('not open yet'), undefined);
});

test('a reader that is asked to say nothing says nothing', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await using far = await world.join();
  const { boxes } = officeOf(transport);
  await boxes.open('receipts');
  await boxes.open('m');
  await boxes.put('m', { id: '1', body: bytes('') });
  const reader = mailboxes(far);
  for await (const letter of reader.read('m', { receipts: false })) {
    await letter.report('started');
    letter.accept();
    break;
  }
  await reader.flush();
  assert.equal((await boxes.inspect('receipts')).messages, 0);
});

test('a reader without a ledger drops what a letter beside it stands for', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport);
  await boxes.open('m');
  for (const id of ['1', '2']) await boxes.put('m', { id, body: bytes('') });
  await boxes.put('m', { id: '3', body: bytes(''), supersedes: ['2'] });
  const seen: string[] = [];
  for await (const letter of boxes.read('m', { credit: 3 })) {
    seen.push(letter.id);
    letter.accept();
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, ['1', '3']);
  assert.equal((await boxes.inspect('m')).messages, 0);
});

test('that a letter was given back is no news once the next reader has it', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await using far = await world.join();
  const { boxes, collector } = officeOf(transport);
  await collector.start();
  await boxes.open('m');
  await boxes.put('m', { id: '1', body: bytes('') });
  const token = (await boxes.receipt('1'))?.token;
  const reader = mailboxes(far);
  const say = async (stage: string, hold: string): Promise<unknown> => {
    const body = bytes(JSON.stringify({ letter: '1', token, stage, hold }));
    await reader.put('receipts', { ...said('1', token, stage), body });
    await settled();
    return (await boxes.explain('1')).state;
  };
  assert.equal(await say('delivered', 'first'), 'inHand');
  assert.equal(await say('delivered', 'second'), 'inHand');
  assert.equal(await say('released', 'first'), 'inHand', 'the second one has it');
  assert.equal(await say('released', 'second'), 'waitsForReader');
  assert.equal((await boxes.receipt('1'))?.reached.delivered, undefined, 'it counts as undelivered: it may expire');
  assert.equal(await say('started', 'third'), 'running');
  assert.equal(await say('finished', 'third'), 'ended');
  assert.equal(await say('released', 'third'), 'ended', 'an end stays');
  await collector.stop();
});
