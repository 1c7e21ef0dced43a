import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { temporaryFolder } from '@torcello/test-support';
import { migrations } from '../src/database/migrations.js';
import { openExclusively, openStore, openStoreOn } from '../src/database/store.js';

const names = Object.keys(migrations);
const child = fileURLToPath(new URL('open-store.child.ts', import.meta.url));

interface Told {
  readonly opened?: readonly string[];
  readonly refused?: string;
}

interface Opening {
  readonly process: ChildProcess;
  readonly told: Promise<Told>;
}

function open(folder: string): Opening {
  const args = ['--import', 'tsx', '--conditions=source', child, folder];
  const started = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const told = (async (): Promise<Told> => {
    for await (const line of createInterface({ input: started.stdout })) return JSON.parse(line) as Told;
    throw new Error('it said nothing');
  })();
  return { process: started, told };
}

async function ended({ process: started }: Opening): Promise<void> {
  started.stdin?.end();
  if (started.exitCode === null && started.signalCode === null) await once(started, 'exit');
}

describe('the tables', () => {
  it('are made once, by one of several processes that start at once; the others are refused', async () => {
    const folder = temporaryFolder('migrations');
    const openings = Array.from({ length: 3 }, () => open(folder.path));
    const told = await Promise.all(openings.map((opening) => opening.told));
    const winners = told.filter(({ opened }) => opened !== undefined);
    assert.deepEqual(winners, [{ opened: names }]);
    assert.deepEqual(
      told.filter(({ refused }) => refused !== undefined).map(({ refused }) => refused),
      ['DATA_IN_USE', 'DATA_IN_USE'],
    );
    await Promise.all(openings.map(ended));
    const next = open(folder.path);
    assert.deepEqual(await next.told, { opened: names });
    // The end of a process is the end of its lock, also by kill -9.
    next.process.kill('SIGKILL');
    await ended(next);
    const after = open(folder.path);
    assert.deepEqual(await after.told, { opened: names });
    await ended(after);
    folder.remove();
  });

  it('of a newer release are left as they are, by every process that comes', async () => {
    const folder = temporaryFolder('migrations');
    const store = await openStore(folder.path);
    await sql`insert into kysely_migration values ('9999_future', '2030-01-01')`.execute(store.db);
    await sql`create table of_the_future (id text)`.execute(store.db);
    await store.close();
    const openings = [open(folder.path), open(folder.path)];
    for (const opening of openings) assert.match((await opening.told).refused ?? '', /^(DATA_NEWER|DATA_IN_USE)$/);
    await Promise.all(openings.map(ended));
    await assert.rejects(openStore(folder.path), { code: 'DATA_NEWER' });
    const { database } = openExclusively(`${folder.path}/torcello.sqlite`);
    assert.equal(database.prepare("select name from sqlite_master where name = 'of_the_future'").all().length, 1);
    database.close();
    folder.remove();
  });

  it('are all there or none of them, wherever a process ends while it makes them', async () => {
    let statements = 0;
    for (let endAt = 1, isThrough = false; !isThrough; endAt += 9) {
      const folder = temporaryFolder('migrations');
      const { database } = openExclusively(`${folder.path}/torcello.sqlite`);
      let left = endAt;
      const step = <Answer>(work: () => Answer): Answer => {
        left -= 1;
        if (left <= 0) throw new Error('the process ends');
        statements = Math.max(statements, endAt - left);
        return work();
      };
      const store = await openStoreOn(
        {
          exec: (text) => step(() => database.exec(text)),
          prepare: (text) => {
            const statement = database.prepare(text);
            return {
              all: (...parameters) => step(() => statement.all(...parameters)),
              run: (...parameters) => step(() => statement.run(...parameters)),
              columns: () => statement.columns(),
            };
          },
          close: () => undefined,
        },
        'a test',
      ).catch(() => undefined);
      isThrough = store !== undefined;
      left = Number.POSITIVE_INFINITY;
      try {
        database.exec('rollback');
      } catch {
        // Nothing was open.
      }
      database.close();
      const again = await openStore(folder.path);
      const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(again.db);
      assert.deepEqual(
        rows.map((row) => row.name),
        names,
        `after ${endAt} statements`,
      );
      await again.close();
      folder.remove();
    }
    assert.ok(statements > 60, `${statements} statements`);
  });
});
