import { connect, mailboxes, memoryDriver, memoryLedger } from '@torcello/messaging';

await using transport = await connect('memory:', { drivers: [memoryDriver()] });
// `await fileLedger('letters.jsonl')` keeps it over restarts.
const boxes = mailboxes(transport, { ledger: memoryLedger(), needs: ['lifetime', 'receipts'] });
const text = (words: string): Uint8Array => new TextEncoder().encode(words);

await boxes.open('office');
await boxes.open('host-17', { lifetimeMs: 86_400_000, bytesMax: 1_000_000 });
await boxes.put('host-17', { id: 'plan-1', body: text('install'), tell: 'office' });
console.log((await boxes.explain('plan-1')).text);

// A newer letter stands for an older one: the reader never sees that, unless it has begun.
const { superseded } = await boxes.put('host-17', { id: 'plan-2', body: text('install 2'), supersedes: ['plan-1'] });
console.log(superseded?.[0]?.verdict);

// Whoever shows the token first owns the mailbox; it works once.
const claim = await boxes.claim('host-17', { token: await boxes.issueToken('host-17'), owner: 'key-of-host-17' });
console.log(claim.owner, claim.epoch);

for await (const letter of boxes.read('host-17', { acceptMeans: 'nothing' })) {
  await letter.report('started');
  letter.accept();
  await letter.report('finished', { outcome: 'ok', result: text('done') });
  break;
}
const receipt = await boxes.receipt('plan-2');
console.log(receipt?.end?.how, receipt?.outcome?.outcome);
for await (const notice of boxes.notices('office')) {
  console.log(notice.letter, notice.how);
  break;
}
