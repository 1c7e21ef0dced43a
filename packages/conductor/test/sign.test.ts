import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type PlanHeader, type PlanPayload, openLetter, signedBytes } from '@torcello/contracts';
import { openPlanKey, planSigner } from '../src/sign.js';
import { testKey } from './support/world.js';

const header: Omit<PlanHeader, 'kid'> = {
  planId: 'p',
  deploymentId: 'd',
  machineId: 'm',
  mailbox: 'box',
  enrolment: 1,
  epoch: 3,
};
const payload: PlanPayload = {
  format: 'torcello/1',
  deploymentId: 'd',
  planId: 'p',
  stage: 's/web',
  action: 'deploy',
  environment: { id: 'e', name: 'trial' },
  service: { id: 's', type: 't' },
  machine: { id: 'm', name: 'web-1', role: 'web', index: 0 },
  steps: [],
};

function isGenuine(letter: Uint8Array, publicKey: string): boolean {
  const opened = openLetter(letter);
  if (opened === undefined) return false;
  return verify(null, signedBytes(opened.header, opened.payload), createPublicKey(publicKey), opened.signature);
}

test('a letter opens to what was sealed, names its key, and verifies with the public half', () => {
  const signer = planSigner(testKey);
  const letter = signer.seal(header, payload);
  assert.ok(isGenuine(letter, signer.publicKey));
  const opened = openLetter(letter);
  assert.deepEqual(JSON.parse(Buffer.from(opened?.header ?? []).toString()), { kid: signer.kid, ...header });
  assert.deepEqual(JSON.parse(Buffer.from(opened?.payload ?? []).toString()), payload);
  const spki = createPublicKey(signer.publicKey).export({ type: 'spki', format: 'der' });
  assert.equal(signer.kid, createHash('sha256').update(spki).digest('hex').slice(0, 16));
});

test('the same plan is sealed to the same bytes', () => {
  assert.deepEqual(planSigner(testKey).seal(header, payload), planSigner(testKey).seal(header, payload));
});

test('one changed bit anywhere, or another key, and it is no longer genuine', () => {
  const signer = planSigner(testKey);
  const letter = signer.seal(header, payload);
  for (let at = 0; at < letter.length; at += 1) {
    const changed = Uint8Array.from(letter);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.equal(isGenuine(changed, signer.publicKey), false, `byte ${at}`);
  }
  const other = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
  assert.equal(isGenuine(letter, other), false);
});

test('what is no Ed25519 private key is refused', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  for (const pem of [
    '',
    'hello',
    privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  ]) {
    assert.throws(() => planSigner(pem), TypeError);
  }
});

test('a missing key is made once: private 0600, public half beside it, the same for all who start at once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'torcello-key-'));
  try {
    const path = join(folder, 'new', 'plan.key');
    const signers = await Promise.all([openPlanKey(path), openPlanKey(path), openPlanKey(path)]);
    assert.equal(new Set(signers.map(({ kid }) => kid)).size, 1);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal(await readFile(`${path}.pub`, 'utf8'), signers[0]?.publicKey);
    assert.equal((await openPlanKey(path)).kid, signers[0]?.kid);
    assert.deepEqual(await readdir(join(folder, 'new')), ['plan.key', 'plan.key.pub']);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a key file of somebody else is used as it is; a damaged one is refused and kept', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'torcello-key-'));
  try {
    const path = join(folder, 'plan.key');
    await writeFile(path, testKey);
    await chmod(path, 0o400);
    assert.equal((await openPlanKey(path)).kid, planSigner(testKey).kid);
    const broken = join(folder, 'broken.key');
    await writeFile(broken, 'not a key');
    await assert.rejects(openPlanKey(broken), TypeError);
    assert.equal(await readFile(broken, 'utf8'), 'not a key');
  } finally {
    await rm(folder, { recursive: true });
  }
});
