import assert from 'node:assert/strict';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { temporaryFolder } from '@torcello/test-support';
import { fileLedger, mailboxes, memoryLedger, type FileLedger, type MailboxLedger } from '../src/index.js';
import { runLedgerConformance } from '../src/testing/index.js';
import { bytes, makeWorld, settled, text } from './support/world.js';

const folder = temporaryFolder('ledger');
after(() => folder.remove());
let files = 0;
const freshFile = (): string => join(folder.path, `${(files += 1)}.jsonl`);

runLedgerConformance({ name: 'memory ledger', open: async () => memoryLedger() }, test);

const places = new Map<MailboxLedger, string>();
async function openFile(file: string): Promise<FileLedger> {
  const ledger = await fileLedger(file);
  places.set(ledger, file);
  return ledger;
}
runLedgerConformance(
  {
    name: 'file ledger',
    open: () => openFile(freshFile()),
    // As after a crash: nobody closed it.
    reopen: (ledger) => openFile(places.get(ledger) ?? ''),
  },
  test,
);

test('a line that a crash cut off is dropped, a damaged one inside is an error that names it', async () => {
  const file = freshFile();
  const world = makeWorld();
  await using transport = await world.join();
  {
    await using ledger = await fileLedger(file);
    await mailboxes(transport, { ledger }).open('m');
  }
  await appendFile(file, '{"mailbox":{"name":"tor');
  {
    await using ledger = await fileLedger(file);
    assert.equal((await ledger.find('m'))?.name, 'm');
    assert.equal(await ledger.find('tor'), undefined);
  }
  await writeFile(file, `{"mail\n${await readFile(file, 'utf8')}`);
  await assert.rejects(fileLedger(file), (error) => error instanceof SyntaxError && error.message.includes('line 1'));
});

test('the file is written anew when most of it is out of date, and holds the same', async () => {
  const file = freshFile();
  await using ledger = await fileLedger(file);
  const world = makeWorld();
  await using transport = await world.join();
  const boxes = mailboxes(transport, { ledger });
  await boxes.open('m');
  for (let at = 0; at < 1_100; at += 1) await boxes.touch('m');
  const lines = (await readFile(file, 'utf8')).split('\n').length;
  assert.ok(lines < 1_000, `${lines} lines`);
  await using again = await fileLedger(file);
  assert.deepEqual(await again.find('m'), JSON.parse(JSON.stringify(await ledger.find('m'))));
});

test('an end that a crash interrupted goes on with the ledger’s file, and every sender is told once', async () => {
  const file = freshFile();
  const world = makeWorld();
  await using transport = await world.join();
  await mailboxes(transport).open('told');
  {
    await using ledger = await fileLedger(file);
    await using doomed = await world.join();
    const boxes = mailboxes(doomed, { ledger });
    await boxes.open('m', { lifetimeMs: 60_000 });
    for (const id of ['1', '2']) await boxes.put('m', { id, body: bytes(id), tell: 'told' });
    await world.clock.advance(60_000);
    // The end begins, and the program dies before it comes further.
    void boxes.sweep().catch(() => []);
    await until(async () => (await ledger.find('m'))?.closingReason !== undefined);
  }
  await using ledger = await fileLedger(file);
  const ends: string[] = [];
  const boxes = mailboxes(transport, { ledger, onEnd: ({ name }) => void ends.push(name) });
  await assert.rejects(boxes.put('m', { id: '3', body: bytes('') }), { code: 'EXPIRED' });
  const sweeping = boxes.sweep();
  let isOver = false;
  void sweeping.finally(() => (isOver = true));
  // The disk takes its own time: the clock is moved until the end is there.
  while (!isOver) await world.clock.advance(10_000);
  const [end] = await sweeping;
  assert.deepEqual(
    end?.inventory.map(({ id, body }) => [id, text(body ?? bytes('?'))]),
    [
      ['1', '1'],
      ['2', '2'],
    ],
  );
  assert.deepEqual(ends, ['m']);
  const told = [await boxes.take('told'), await boxes.take('told')].map((letter) => letter?.id);
  assert.deepEqual(told, ['1.unread', '2.unread']);
  assert.equal(await boxes.take('told'), undefined);
  await boxes.flush();
});

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await settled();
}
