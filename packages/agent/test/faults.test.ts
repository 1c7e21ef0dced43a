import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { faulty } from '@torcello/messaging/testing';
import { Fixture } from './support/fixture.js';

const numbers = [1, 2, 3];

for (const seed of [1, 3]) {
  test(`over connections that are lost all the time every step runs once and all is told (seed ${seed})`, async () => {
    const fault = { seed, lostConfirms: 0.1, lostPublishes: 0.1, failedConnects: 0.1 };
    await using fixture = await Fixture.make((driver) => faulty(driver, fault));
    const { control, ledger } = fixture;
    for (const number of numbers) {
      const talk = `echo ran ${number} >> ${ledger}; for n in 1 2 3 4; do echo line $n; sleep 0.1; done`;
      await control.plan(number, [{ name: 'talk', command: ['sh', '-c', talk] }]);
    }
    await fixture.startAgent({ heartbeatMs: 500 });
    for (const number of numbers) {
      assert.equal((await control.result(number)).outcome, 'succeeded');
      assert.equal(await control.wholeOutput(number, 'talk'), 'line 1\nline 2\nline 3\nline 4\n');
    }
    assert.equal(await readFile(ledger, 'utf8'), numbers.map((number) => `ran ${number}\n`).join(''));
    assert.deepEqual(fixture.fatal, []);
  });
}
