import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { sql } from 'kysely';
import { openStore } from '../src/database/store.js';
import type { Store } from '../src/database/store.js';

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'torcello-store-'));
  try {
    await test(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

const auditRow = (target: string) => ({ at: 1, actor: 'a', action: 'b', target, detail: '{}' });

async function targets(store: Store): Promise<string[]> {
  const rows = await store.db.selectFrom('audit').select('target').orderBy('id').execute();
  return rows.map((row) => row.target);
}

describe('the store', () => {
  it('keeps what was committed, and nothing of a transaction that failed', () =>
    inFolder(async (folder) => {
      const store = await openStore(folder);
      const told: string[] = [];
      await store.write(async ({ db, afterCommit }) => {
        afterCommit(() => told.push('first'));
        await db.insertInto('audit').values(auditRow('first')).execute();
      });
      await assert.rejects(
        store.write(async ({ db, afterCommit }) => {
          afterCommit(() => told.push('second'));
          await db.insertInto('audit').values(auditRow('second')).execute();
          throw new Error('half-way');
        }),
        { message: 'half-way' },
      );
      assert.deepEqual(told, ['first']);
      await store.close();
      const again = await openStore(folder);
      assert.deepEqual(await targets(again), ['first']);
      await again.close();
    }));

  it('lets transactions run one after the other, in the order in which they were asked for', () =>
    inFolder(async (folder) => {
      const store = await openStore(folder);
      const names = Array.from({ length: 20 }, (_, n) => `t${n}`);
      await Promise.all(
        names.map((name) =>
          store.write(async ({ db }) => {
            await db
              .insertInto('audit')
              .values(auditRow(`${name} begins`))
              .execute();
            await new Promise((resolve) => setImmediate(resolve));
            await db
              .insertInto('audit')
              .values(auditRow(`${name} ends`))
              .execute();
          }),
        ),
      );
      assert.deepEqual(
        await targets(store),
        names.flatMap((name) => [`${name} begins`, `${name} ends`]),
      );
      await store.close();
    }));

  it('is opened by one process only', () =>
    inFolder(async (folder) => {
      const store = await openStore(folder);
      await assert.rejects(openStore(folder), { code: 'DATA_IN_USE' });
      await store.close();
      await (await openStore(folder)).close();
    }));

  it('of a newer release is left alone', () =>
    inFolder(async (folder) => {
      const store = await openStore(folder);
      await sql`insert into kysely_migration values ('9999_future', '2030-01-01')`.execute(store.db);
      await store.close();
      await assert.rejects(openStore(folder), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'DATA_NEWER');
        assert.match(error.message, /9999_future/);
        return true;
      });
    }));

  it('syncs every commit to disk', () =>
    inFolder(async (folder) => {
      const store = await openStore(folder);
      const { rows } = await sql<{ synchronous: number }>`pragma synchronous`.execute(store.db);
      const { rows: modes } = await sql<{ journal_mode: string }>`pragma journal_mode`.execute(store.db);
      assert.deepEqual([rows[0]?.synchronous, modes[0]?.journal_mode], [2, 'wal']);
      await store.close();
    }));
});
