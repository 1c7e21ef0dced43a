import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { sql } from 'kysely';
import { temporaryFolder } from '@torcello/test-support';
import { SimulatedClock } from '@torcello/platform/testing';
import { openStore } from '../src/database/store.js';
import { restoreBackup } from '../src/restore/restore.js';
import { restoredEpochStep } from '../src/restore/mark-restored.js';
import { backupOf, writeBackupFile } from './support/backup.js';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { FakeConductor } from './support/fake-conductor.js';
import { enrol, posted } from './support/posted.js';
import { TestApi, deployShop } from './support/test-api.js';

const folders: { remove(): void }[] = [];
const folder = (): string => {
  const made = temporaryFolder('backup');
  folders.push(made);
  return made.path;
};
after(() => {
  for (const made of folders) made.remove();
});
const clock = new SimulatedClock(Date.UTC(2026, 5, 1));
const restore = (dataDirectory: string, from: string) => restoreBackup({ dataDirectory, from, clock });

describe('a backup', () => {
  it('is consistent while others write', async () => {
    const store = await openStore(folder());
    const detail = 'y'.repeat(4_000);
    const row = (target: string, at: number) => ({ at, actor: 'pair', action: 'x', target, detail });
    const writing = { isOver: false, pairs: 0 };
    const writePair = async (): Promise<void> => {
      const n = writing.pairs++;
      await store.write(async ({ db }) => {
        await db.insertInto('audit').values(row('one', n)).execute();
        await new Promise((resolve) => setImmediate(resolve));
        await db.insertInto('audit').values(row('two', n)).execute();
      });
    };
    while (writing.pairs < 500) await writePair();
    const writer = (async () => {
      while (!writing.isOver) await writePair();
    })();
    try {
      for (let time = 0; time < 5; time++) {
        const data = folder();
        await store.copyTo(path.join(data, 'torcello.sqlite'));
        const copy = await openStore(data);
        const { rows } = await sql<{ wrong: number; pairs: number }>`
          select sum(n <> 2) as wrong, count(*) as pairs
          from (select count(*) as n from audit where actor = 'pair' group by at)`.execute(copy.db);
        await copy.close();
        assert.equal(rows[0]?.wrong, 0);
        assert.ok((rows[0]?.pairs ?? 0) >= 500);
      }
    } finally {
      writing.isOver = true;
      await writer;
      await store.close();
    }
  });

  it('leaves no copy behind, is refused without the token, and what a killed process left is swept away', async () => {
    const first = await TestApi.open();
    assert.equal((await first.call('GET', '/v1/backup', { token: null })).status, 401);
    await backupOf(first, path.join(folder(), 'backup'));
    await eventually('the copy is gone', () =>
      fs.readdirSync(first.folder).every((name) => !name.startsWith('snapshot-')),
    );
    await first.stop();
    fs.writeFileSync(path.join(first.folder, 'snapshot-left.sqlite'), 'x');
    await using second = await TestApi.open({ folder: first.folder });
    assert.ok(!fs.readdirSync(second.folder).some((name) => name.startsWith('snapshot-')));
  });
});

describe('a restore', () => {
  it('is refused while an API uses the folder, and for what is no whole backup; nothing changes then', async () => {
    const test = await TestApi.open();
    await deployShop(test);
    const file = await backupOf(test, path.join(folder(), 'backup'));
    await assert.rejects(restore(test.folder, file), { code: 'DATA_IN_USE' });
    await test.stop();
    const whole = fs.readFileSync(file);
    const newer = path.join(folder(), 'newer');
    const variants: Readonly<Record<string, Uint8Array>> = {
      empty: Buffer.alloc(0),
      'not a backup': Buffer.from('hello\n'),
      'cut off': whole.subarray(0, whole.length - 200_000),
      'cut in the last line': whole.subarray(0, whole.length - 5),
      'one bit wrong': flipped(whole, whole.length - 5_000),
      'without a database': smallBackup({ 'admin-token': 'x' }),
      'a path as a name': smallBackup({ '../evil': 'x', 'torcello.sqlite': 'x' }),
      'a damaged database': smallBackup({ 'torcello.sqlite': 'no database'.repeat(1_000) }),
    };
    const before = listOf(test.folder);
    for (const [name, bytes] of Object.entries(variants)) {
      fs.writeFileSync(newer, bytes);
      await assert.rejects(restore(test.folder, newer), { code: 'BACKUP_INVALID' }, name);
    }
    assert.deepEqual(listOf(test.folder), before);
    assert.ok(!fs.existsSync(path.join(path.dirname(test.folder), 'evil')));
    await using again = await TestApi.open({ folder: test.folder });
    assert.equal((await again.call('GET', '/v1/deployments')).body.deployments.length, 1);
  });

  it('brings back a data folder whose database is damaged, or that is gone, with its keys', async () => {
    const test = await TestApi.open();
    const { deployment } = await deployShop(test);
    const file = await backupOf(test, path.join(folder(), 'backup'), {
      'admin-token': 'the-token\n',
      'plan-key.pem': 'k',
    });
    await test.stop();
    fs.writeFileSync(path.join(test.folder, 'torcello.sqlite'), 'garbage'.repeat(10_000));
    await assert.rejects(TestApi.open({ folder: test.folder }), { code: 'DATA_DAMAGED' });
    const { keptIn } = await restore(test.folder, file);
    assert.match(fs.readFileSync(path.join(keptIn ?? '', 'torcello.sqlite'), 'utf8'), /^garbage/);
    for (const data of [test.folder, folder()]) {
      if (data !== test.folder) assert.equal((await restore(data, file)).keptIn, undefined);
      await using again = await TestApi.open({ folder: data });
      assert.equal(again.api.secrets.adminToken, 'the-token');
      assert.equal(fs.statSync(path.join(data, 'plan-key.pem')).mode & 0o777, 0o600);
      assert.equal((await again.view(deployment)).state, 'queued');
    }
  });

  it('fences off a conductor from the time after the backup, and the deployment goes on with a new epoch', async () => {
    const first = await TestApi.open();
    const { deployment, conductor, plans } = await posted(first);
    const file = await backupOf(first, path.join(folder(), 'backup'));
    for (let claims = 0; claims < 3; claims++) {
      const claim = await conductor.claim(deployment);
      assert.ok(claim.claimed);
      if (claims < 2) await conductor.release(deployment, claim.epoch, claim.length);
    }
    await first.stop();
    await restore(first.folder, file);
    await using second = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    await second.attach();
    const zombie = new FakeConductor(await second.connect());
    const { length } = await zombie.load(deployment);
    for (const epoch of [1, 2, 3, 4]) {
      const events = [{ id: 'e'.repeat(32), event: { type: 'finished', result: 'succeeded' } }];
      const answer = await zombie.append({ deploymentId: deployment, epoch, expectedLength: length, events });
      assert.deepEqual(answer, { appended: false, why: 'fenced' }, `epoch ${epoch}`);
      assert.equal((await zombie.renew([{ deploymentId: deployment, epoch }])).leases[0]?.isHeld, false);
    }
    assert.equal(await eventually('a hint', () => zombie.takeHint()), deployment);
    const claim = await zombie.claim(deployment);
    assert.ok(claim.claimed && claim.epoch > restoredEpochStep);
    await zombie.release(deployment, claim.epoch, claim.length);
    const [plan] = plans;
    assert.ok(plan);
    // Posted once before the backup and once more after the restore: the agent tells again what it has.
    const mailbox = (await second.call('GET', `/v1/machines/${plan.machine.id}`)).body.mailbox as string;
    await eventually('the letter again', async () => {
      await second.clock.advance(5_000);
      return (await zombie.boxes.inspect(mailbox)).messages === 2;
    });
    await new FakeAgent(await second.connect(), plan.machine.id).result(deployment, plan.planId);
    await eventually('the result', async () => (await second.view(deployment)).plans[0].state === 'succeeded');
    await zombie.workOn(deployment);
    assert.equal((await second.view(deployment)).state, 'succeeded');
  });

  it('keeps results of plans aside that it does not know, where a user sees them', async () => {
    const first = await TestApi.open();
    const { deployment, plans } = await posted(first);
    const [plan] = plans;
    assert.ok(plan);
    const file = await backupOf(first, path.join(folder(), 'backup'));
    await first.stop();
    const [stranger, unknown] = ['a'.repeat(32), 'b'.repeat(32)];
    const send = async (test: TestApi): Promise<void> => {
      const agent = new FakeAgent(await test.connect(), plan.machine.id);
      await agent.result(deployment, stranger);
      await agent.result(unknown, 'c'.repeat(32), { outcome: 'failed' });
    };
    await restore(first.folder, file);
    await using second = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    await second.attach();
    await send(second);
    await send(second);
    const listed = await eventually('both in quarantine', async () => {
      const { results } = (await second.call('GET', '/v1/quarantine')).body;
      return results.length === 2 && results;
    });
    assert.deepEqual(
      listed.map((row: { planId: string; machine: string; outcome: string }) => [
        row.planId[0],
        row.machine,
        row.outcome,
      ]),
      [
        ['a', 'web-1', 'succeeded'],
        ['c', 'web-1', 'failed'],
      ],
    );
    const history = (await second.call('GET', `/v1/deployments/${deployment}/events`)).body;
    assert.deepEqual(
      history.quarantined.map((row: { planId: string }) => row.planId),
      [stranger],
    );
    assert.equal((await second.view(deployment)).plans.length, 1);
    const gone = await second.call('GET', `/v1/deployments/${unknown}`);
    assert.deepEqual([gone.status, gone.body.code], [404, 'not_found']);
    assert.match(gone.body.detail, /younger than the backup/);
    for (const [id, kind] of [
      [stranger, 'plan'],
      [unknown, 'deployment'],
    ] as const) {
      const { body } = await second.call('GET', `/v1/why/${id}`);
      assert.deepEqual([body.kind, body.why.code], [kind, 'result-quarantined']);
    }
    const boxes = new FakeConductor(await second.connect()).boxes;
    const mailbox = (await second.call('GET', `/v1/machines/${plan.machine.id}`)).body.mailbox as string;
    await eventually('receipts', async () => (await boxes.inspect(mailbox)).messages >= 3);
    assert.equal((await second.call('DELETE', `/v1/quarantine/${stranger}`)).status, 200);
    assert.equal((await second.call('DELETE', `/v1/quarantine/${stranger}`)).status, 404);
  });

  it('without one, results of unknown plans are refused', async () => {
    await using test = await TestApi.open();
    const { deployment, plans } = await posted(test);
    const agent = new FakeAgent(await test.connect(), plans[0]?.machine.id ?? '');
    await agent.result(deployment, 'a'.repeat(32));
    await agent.result(deployment, plans[0]?.planId ?? '');
    await eventually('the good one', async () => (await test.view(deployment)).plans[0].state === 'succeeded');
    assert.deepEqual((await test.call('GET', '/v1/quarantine')).body.results, []);
  });

  it('takes an agent that joined after the backup as what it says', async () => {
    const first = await TestApi.open();
    const { deployment, environment, plans } = await posted(first, 2);
    const [old, fresh] = plans;
    assert.ok(old && fresh);
    await enrol(first, environment, old.machine.id);
    const file = await backupOf(first, path.join(folder(), 'backup'));
    await enrol(first, environment, old.machine.id);
    await enrol(first, environment, fresh.machine.id);
    await first.stop();
    await restore(first.folder, file);
    await using second = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    await second.attach();
    const states = async (): Promise<readonly string[]> =>
      (await second.call('GET', '/v1/agents')).body.agents.map((agent: { state: string }) => agent.state);
    assert.deepEqual(await states(), ['online', 'never joined']);
    const transport = await second.connect();
    for (const [plan, enrolment] of [
      [old, 2],
      [fresh, 1],
    ] as const) {
      const atMs = second.clock.now();
      const about = { machineId: plan.machine.id, enrolment, agentVersion: '1', processStartedAtMs: atMs };
      const beat = { ...about, waitingPlans: 0, intervalMs: 10_000, atMs };
      await new FakeAgent(transport, plan.machine.id).send('heartbeat', beat);
    }
    await eventually('both are there', async () => (await states()).every((state) => state === 'online'));
    const view = await eventually('the plan of the first agent ended', async () => {
      const now = await second.view(deployment);
      return now.plans[0].state === 'replaced' && now;
    });
    assert.match(view.plans[0].reason, /^unknown: machine replaced/);
    assert.equal(view.plans[1].state, 'stored');
  });
});

function smallBackup(entries: Readonly<Record<string, string>>): Uint8Array {
  const file = path.join(folder(), 'small');
  writeBackupFile(file, 1, entries);
  return fs.readFileSync(file);
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

function listOf(data: string): readonly string[] {
  return fs.readdirSync(data).toSorted();
}
