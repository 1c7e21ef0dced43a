import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@torcello/platform/testing';
import { Journal } from '../src/journal.js';
import type { JournalRecord } from '../src/records.js';
import { deploymentId, planIdOf } from './support/control.js';
import { PowerLost, SimulatedDisk } from '@torcello/agent/testing';

/** How many seeds; a failing one is named and can be given alone. */
const firstSeed = Number(process.env['TORCELLO_SEED'] ?? 1);
const seeds = process.env['TORCELLO_SEED'] === undefined ? 400 : 1;
const livesPerSeed = 6;
const folder = '/journal';

interface Written {
  readonly planId: string;
  readonly letter: Uint8Array;
  isAcked: boolean;
}

/** Loses what it should not: a text that says what. */
type Verdict = string | undefined;

/** Some lives of a journal, each ended by a power loss or kill -9, over one disk. */
class PowerLossRun {
  readonly #random: () => number;
  readonly #isLying: boolean;
  readonly #all: Written[] = [];
  #disk: SimulatedDisk;

  constructor(seed: number, isLying: boolean) {
    const random = seededRandom(seed);
    this.#random = () => random.fraction();
    this.#isLying = isLying;
    this.#disk = new SimulatedDisk(this.#random);
  }

  async run(): Promise<Verdict> {
    for (let life = 0; life < livesPerSeed; life += 1) {
      const verdict = await this.#life();
      if (verdict !== undefined) return verdict;
      // A kill -9 takes the agent at the same places, and nothing of what it wrote.
      if (this.#random() < 0.3) this.#disk.losePowerAfter(Infinity);
      else this.#disk = this.#disk.afterPowerLoss();
    }
    return undefined;
  }

  async #life(): Promise<Verdict> {
    if (this.#isLying) this.#disk.stopSyncing();
    this.#disk.losePowerAfter(1 + this.#below(this.#random() < 0.5 ? 8 : 60));
    try {
      const { journal, finding } = await Journal.open(folder, {
        nowMs: 1,
        onFailure: () => undefined,
        disk: this.#disk,
        compactBytes: 20_000,
        reserveBytes: 100,
      });
      if (finding?.code === 'JOURNAL_DAMAGED') return 'a power loss was taken for damage';
      const verdict = this.#check(journal);
      if (verdict !== undefined) return verdict;
      while (journal.isOpen && this.#disk.hasPower) await this.#burst(journal);
    } catch (error) {
      if (!(error instanceof PowerLost)) throw error;
    }
    return undefined;
  }

  /** Some writes at once; now and then the writer waits for them. */
  async #burst(journal: Journal): Promise<void> {
    const writes = Array.from({ length: 1 + this.#below(4) }, async () => {
      const written: Written = {
        planId: planIdOf(this.#all.length + 1),
        letter: new Uint8Array(this.#below(1_500)).fill(1 + this.#below(255)),
        isAcked: false,
      };
      this.#all.push(written);
      const sync = this.#random() < 0.7;
      await journal.write(recordOf(written.planId), { attachment: written.letter, sync });
      written.isAcked = sync;
    });
    await Promise.allSettled(writes);
  }

  /** What was acknowledged is there, nothing else was invented, and nothing came before what it followed. */
  #check(journal: Journal): Verdict {
    let isGap = false;
    for (const written of this.#all) {
      const plan = journal.book.plan(written.planId);
      if (plan === undefined && written.isAcked) return `${written.planId} was acknowledged and is gone`;
      if (plan !== undefined && isGap) return `${written.planId} is there, and one before it is not`;
      if (plan === undefined) isGap = true;
      else if (Buffer.compare(plan.letter ?? new Uint8Array(), written.letter) !== 0) return 'other bytes';
    }
    if (journal.book.all().length > this.#all.length) return 'records that nobody wrote';
    // What did not survive may be written again; what did is safe from now on.
    this.#all.splice(0, this.#all.length, ...this.#all.filter(({ planId }) => journal.book.plan(planId) !== undefined));
    for (const written of this.#all) written.isAcked = true;
    return undefined;
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }
}

function recordOf(planId: string): JournalRecord {
  return { type: 'received', planId, deploymentId, stage: 's', epoch: 1, digest: '', receivedAtMs: 1 };
}

test('what the journal acknowledged survives a power loss at any operation', async () => {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
    const verdict = await new PowerLossRun(seed, false).run();
    assert.equal(
      verdict,
      undefined,
      `seed ${seed}: TORCELLO_SEED=${seed} node --import tsx --conditions=source --test packages/agent/test/power-loss.test.ts`,
    );
  }
});

test('a disk that only says that it synced is found out', async () => {
  const verdicts = new Set<Verdict>();
  for (let seed = 1; seed <= 100; seed += 1)
    verdicts.add((await new PowerLossRun(seed, true).run())?.replace(/^\w{32} /, ''));
  assert.ok(verdicts.has('was acknowledged and is gone'), [...verdicts].join('; '));
});
