import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { isMessagingError } from '../src/index.js';
import { bunzip2 } from '../src/wire/bzip2.js';

interface Vector {
  readonly name: string;
  readonly packed: string;
  readonly size: number;
  readonly sha256: string;
}

/** Made with Python's own module. */
const vectors = JSON.parse(
  readFileSync(new URL('golden/vectors-bzip2.json', import.meta.url), 'utf8'),
) as readonly Vector[];
const sizeMax = 2 ** 24;

for (const { name, packed, size, sha256 } of vectors) {
  test(`bzip2 of Python is unpacked: ${name}`, () => {
    const unpacked = bunzip2(Buffer.from(packed, 'base64'), sizeMax);
    assert.equal(unpacked.length, size);
    assert.equal(createHash('sha256').update(unpacked).digest('hex'), sha256);
  });
}

test('damaged, short and bursting bzip2 is UNDECODABLE, whatever the damage', () => {
  const whole = Buffer.from(vectors.find(({ name }) => name === 'a request')?.packed ?? '', 'base64');
  const isRefused = (error: unknown): boolean => isMessagingError(error, 'UNDECODABLE');
  for (let size = 0; size < whole.length - 4; size += 1) {
    assert.throws(() => bunzip2(whole.subarray(0, size), sizeMax), isRefused, `${size} bytes of it`);
  }
  for (let at = 0; at < whole.length - 4; at += 1) {
    const damaged = Uint8Array.from(whole);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    try {
      bunzip2(damaged, sizeMax);
    } catch (error) {
      assert.ok(isRefused(error), `byte ${at}: ${String(error)}`);
    }
  }
  const bomb = Buffer.from(vectors.find(({ name }) => name === 'several blocks')?.packed ?? '', 'base64');
  assert.throws(() => bunzip2(bomb, 1_000_000), isRefused);
});
