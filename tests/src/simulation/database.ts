import { createRequire } from 'node:module';
import { openStoreOn } from '@torcello/api/testing';
import type { SqliteDatabase, Store } from '@torcello/api/testing';
import type { Life } from './world-clock.js';

const { DatabaseSync } = createRequire(import.meta.url)('@photostructure/sqlite') as {
  readonly DatabaseSync: new (file: string) => SqliteDatabase;
};

/** SQLite in memory that outlives the API's process: what a process had not committed when it died is not there. */
export class SimulatedDatabase {
  readonly raw: SqliteDatabase = new DatabaseSync(':memory:');

  /** A database like another, as it is now. */
  static copyOf(other: SimulatedDatabase): SimulatedDatabase {
    const copy = new SimulatedDatabase();
    copy.raw.exec('begin');
    for (const { name, sql } of other.rows<{ name: string; sql: string }>(
      `select name, sql from sqlite_master where sql is not null and name not like 'sqlite_%' order by rowid`,
    )) {
      copy.raw.exec(sql);
      if (!sql.startsWith('create table') && !sql.startsWith('CREATE TABLE')) continue;
      for (const row of other.rows<Record<string, string | number | null | Uint8Array>>(`select * from "${name}"`)) {
        const columns = Object.keys(row);
        const places = columns.map(() => '?').join(', ');
        copy.raw
          .prepare(`insert into "${name}" (${columns.map((column) => `"${column}"`).join(', ')}) values (${places})`)
          .run(...Object.values(row));
      }
    }
    copy.raw.exec('commit');
    return copy;
  }

  rows<Row>(sql: string): readonly Row[] {
    return this.raw.prepare(sql).all() as readonly Row[];
  }

  /** The store of a process. When that dies, its transaction is rolled back and it reaches nothing any more. */
  async open(life: Life): Promise<Store> {
    let isInTransaction = false;
    life.onDeath(() => {
      if (isInTransaction) this.raw.exec('rollback');
    });
    const alive = (): void => {
      if (!life.isAlive) throw new DeadProcess();
    };
    const database: SqliteDatabase = {
      exec: (sql) => {
        alive();
        this.raw.exec(sql);
        if (sql.startsWith('begin')) isInTransaction = true;
        if (sql === 'commit' || sql === 'rollback') isInTransaction = false;
      },
      prepare: (sql) => {
        const statement = this.raw.prepare(sql);
        const columns = statement.columns();
        return {
          all: (...values) => {
            alive();
            return statement.all(...values);
          },
          run: (...values) => {
            alive();
            return statement.run(...values);
          },
          columns: () => columns,
        };
      },
      close: () => undefined,
    };
    return await openStoreOn(database, 'the simulated database');
  }
}

/** What a process meets that goes on after its death. Nobody hears of it. */
export class DeadProcess extends Error {
  constructor() {
    super('this process is dead');
    this.name = 'DeadProcess';
  }
}
