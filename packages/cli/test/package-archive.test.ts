import assert from 'node:assert/strict';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { strFromU8, unzipSync } from 'fflate';
import { packageArchive } from '../src/files/package-archive.js';
import { temporaryFolder } from './support.js';

async function samplePackage(folder: string): Promise<void> {
  await mkdir(path.join(folder, 'files', '.git'), { recursive: true });
  await writeFile(path.join(folder, 'manifest.yaml'), 'FullName: a.B\n');
  await writeFile(path.join(folder, 'files', 'one.txt'), 'one');
  await writeFile(path.join(folder, 'files', '.hidden'), 'no');
  await writeFile(path.join(folder, 'files', '.git', 'config'), 'no');
}

test('a folder is zipped without dot files, and the same folder makes the same bytes', async () => {
  await using folder = await temporaryFolder();
  await samplePackage(folder.path);
  const archive = await packageArchive(folder.path);
  const entries = unzipSync(archive);
  assert.deepEqual(Object.keys(entries), ['files/one.txt', 'manifest.yaml']);
  assert.equal(strFromU8(entries['files/one.txt'] ?? new Uint8Array()), 'one');
  await utimes(path.join(folder.path, 'files', 'one.txt'), 1, 1);
  assert.deepEqual(await packageArchive(folder.path), archive);
});

test('a zip is sent as it is', async () => {
  await using folder = await temporaryFolder();
  await samplePackage(folder.path);
  const archive = await packageArchive(folder.path);
  await writeFile(path.join(folder.path, 'package.zip'), archive);
  assert.deepEqual(await packageArchive(path.join(folder.path, 'package.zip')), archive);
});

test('what is no package is refused with the thing named', async () => {
  await using folder = await temporaryFolder();
  await assert.rejects(packageArchive(folder.path), /has no manifest\.yaml/);
  await assert.rejects(packageArchive(path.join(folder.path, 'gone')), /there is no .*gone/);
  await writeFile(path.join(folder.path, 'text.zip'), 'text');
  await assert.rejects(packageArchive(path.join(folder.path, 'text.zip')), /neither a folder nor a zip/);
  await symlink('/etc/hostname', path.join(folder.path, 'link'));
  await assert.rejects(packageArchive(folder.path), /link is neither a file nor a folder/);
});

test('a package over its limit is refused', async () => {
  await using folder = await temporaryFolder();
  await samplePackage(folder.path);
  const noise = Buffer.alloc(6_000_000);
  for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE((at * 2_654_435_761) % 4_294_967_296, at);
  const zip = Buffer.concat([Buffer.from('PK'), noise]);
  await writeFile(path.join(folder.path, 'big.zip'), zip);
  await assert.rejects(packageArchive(path.join(folder.path, 'big.zip')), /packageBytesMax is 5242880/);
});
