import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatStageAddress, parseStageAddress } from '@torcello/contracts';

const names = {
  'abc/web': { serviceId: 'abc', stage: 'web', isGate: false },
  'abc/web#12': { serviceId: 'abc', stage: 'web', batch: 12, isGate: false },
  'abc/web-2.x#3~gate': { serviceId: 'abc', stage: 'web-2.x', batch: 3, isGate: true },
  'abc/web~gate': { serviceId: 'abc', stage: 'web', isGate: true },
};

for (const [name, address] of Object.entries(names)) {
  test(`the name ${name} is taken apart and put together again`, () => {
    assert.deepEqual(parseStageAddress(name), address);
    assert.equal(formatStageAddress(address), name);
  });
}

test('a name without a service is no address of one', () => {
  assert.deepEqual(parseStageAddress('web'), { serviceId: '', stage: 'web', isGate: false });
});
