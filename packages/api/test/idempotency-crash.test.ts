import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { temporaryFolder } from '@torcello/test-support';
import { openExclusively, openStoreOn } from '../src/database/store.js';
import type { Store } from '../src/database/store.js';
import type { SqliteDatabase } from '../src/database/sqlite-dialect.js';
import { repeatableRoutes, wholeRoutes } from '../src/routes/whole-routes.js';
import { TestApi, stagedShop } from './support/test-api.js';

type Moment = 'before' | 'after';

interface Fate {
  left: number;
  moment: Moment;
  isDead: boolean;
}

/** A process that ends at its n-th commit from now on: right before it, or right after it, with nothing more written. */
class MortalStore {
  readonly store: Store;
  readonly #database: SqliteDatabase;
  readonly #fate: Fate;

  private constructor(store: Store, database: SqliteDatabase, fate: Fate) {
    this.store = store;
    this.#database = database;
    this.#fate = fate;
  }

  static async open(folder: string): Promise<MortalStore> {
    const { database } = openExclusively(`${folder}/torcello.sqlite`);
    const fate = { left: Number.POSITIVE_INFINITY, moment: 'before' as Moment, isDead: false };
    const alive = (): void => {
      if (fate.isDead) throw new Error('the process has ended');
    };
    const store = await openStoreOn(
      {
        exec: (text) => {
          alive();
          if (text === 'commit' && --fate.left === 0) {
            if (fate.moment === 'after') database.exec(text);
            fate.isDead = true;
            throw new Error('the process ends');
          }
          database.exec(text);
        },
        prepare: (text) => {
          alive();
          const statement = database.prepare(text);
          const checked = <Answer>(answer: () => Answer): Answer => {
            alive();
            return answer();
          };
          return {
            all: (...parameters) => checked(() => statement.all(...parameters)),
            run: (...parameters) => checked(() => statement.run(...parameters)),
            columns: () => statement.columns(),
          };
        },
        close: () => undefined,
      },
      'a test',
    );
    return new MortalStore(store, database, fate);
  }

  endAt(commit: number, moment: Moment): void {
    this.#fate.left = commit;
    this.#fate.moment = moment;
  }

  get isDead(): boolean {
    return this.#fate.isDead;
  }

  /** What the system does with the files of a process that is gone. */
  buryFiles(): void {
    if (this.#fate.isDead) {
      try {
        this.#database.exec('rollback');
      } catch {
        // Nothing was open.
      }
    }
    this.#database.close();
  }
}

/** A keyed request that must be done once, told by how many of its effects there are. */
interface Case {
  readonly what: string;
  readonly prepare: (
    test: TestApi,
  ) => Promise<{ readonly method: 'POST' | 'DELETE'; readonly url: string; readonly body?: unknown }>;
  readonly effects: (test: TestApi) => Promise<number>;
}

const cases: readonly Case[] = [
  {
    what: 'deploy',
    prepare: async (test) => {
      const { environment, session } = await stagedShop(test);
      return { method: 'POST', url: `/v1/environments/${environment}/sessions/${session}/deploy` };
    },
    effects: async (test) => (await test.call('GET', '/v1/deployments')).body.deployments.length,
  },
  {
    what: 'add machines',
    prepare: async (test) => {
      await test.call('POST', '/v1/environments', { body: { name: 'lab' } });
      return { method: 'POST', url: '/v1/environments/lab/machines', body: { role: 'web', count: 2 } };
    },
    effects: async (test) => (await test.call('GET', '/v1/environments/lab/machines')).body.machines.length / 2,
  },
];

/** More than any request has. */
const commitsMax = 12;

describe('a process that ends in the middle of a keyed write', () => {
  for (const { what, prepare, effects } of cases) {
    it(`${what}: asked again after the restart it is done once, and answered`, async () => {
      const base = temporaryFolder('idempotency');
      const before = await TestApi.open({ folder: base.path });
      const { method, url, body } = await prepare(before);
      await before.stop();
      const request = { headers: { 'idempotency-key': 'once' }, ...(body === undefined ? {} : { body }) };
      let deaths = 0;
      for (const moment of ['before', 'after'] as const) {
        for (let commit = 1; commit <= commitsMax; commit++) {
          const folder = temporaryFolder('idempotency');
          fs.cpSync(base.path, folder.path, { recursive: true });
          const mortal = await MortalStore.open(folder.path);
          const first = await TestApi.open({ folder: folder.path, store: mortal.store });
          mortal.endAt(commit, moment);
          const answered = await first.call(method, url, request);
          const { isDead } = mortal;
          mortal.endAt(Number.POSITIVE_INFINITY, 'before');
          await first.stop().catch(() => undefined);
          mortal.buryFiles();
          const second = await TestApi.open({ folder: folder.path });
          const again = await second.call(method, url, request);
          const told = `${moment} commit ${commit}: ${again.status} ${again.text}`;
          assert.ok(again.status < 300, told);
          assert.equal(await effects(second), 1, told);
          // Who had an answer gets the same one.
          if (answered.status < 300) assert.equal(again.text, answered.text, told);
          await second.stop();
          folder.remove();
          if (!isDead) break;
          deaths += 1;
        }
      }
      base.remove();
      assert.ok(deaths >= 4, `it ended ${deaths} times`);
    });
  }
});

describe('every write', () => {
  it('is one transaction with its answer, or says why it may be repeated', async () => {
    await using test = await TestApi.open();
    const { body } = await test.call('GET', '/v1/openapi.json');
    const writes = Object.entries(body.paths as Record<string, Record<string, unknown>>).flatMap(([path, methods]) =>
      // A patch names what it changes, and carries no key.
      ['post', 'put', 'delete']
        .filter((method) => method in methods)
        .map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{([^}]+)\}/g, ':$1').replace(/:\*$/, '*')}`),
    );
    const decided = new Set([...wholeRoutes, ...Object.keys(repeatableRoutes)]);
    assert.deepEqual(
      writes.filter((route) => !decided.has(route)),
      [],
    );
    assert.deepEqual(
      [...decided].filter((route) => !writes.includes(route)),
      [],
    );
  });
});
