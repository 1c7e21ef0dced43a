import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { backupMadeAtHeader, formatBackupLine } from '@torcello/contracts';
import type { BackupName } from '@torcello/contracts';
import type { TestApi } from './test-api.js';

/** A backup file as `torcello backup` writes it, of the API as it is now. */
export async function backupOf(
  test: TestApi,
  file: string,
  more: Partial<Record<BackupName, string>> = {},
): Promise<string> {
  const answer = await test.api.server.inject({
    method: 'GET',
    url: '/v1/backup',
    headers: { 'x-auth-token': test.api.secrets.adminToken },
  });
  if (answer.statusCode !== 200) throw new Error(answer.body);
  const madeAtMs = Number(answer.headers[backupMadeAtHeader]);
  writeBackupFile(file, madeAtMs, { ...more, 'torcello.sqlite': answer.rawPayload });
  return file;
}

export function writeBackupFile(
  file: string,
  madeAtMs: number,
  entries: Readonly<Record<string, string | Uint8Array | undefined>>,
): void {
  const parts: Uint8Array[] = [Buffer.from(formatBackupLine({ torcello: 'backup', format: 1, madeAtMs }))];
  for (const [name, body = ''] of Object.entries(entries)) {
    const bytes = Buffer.from(body as Uint8Array);
    parts.push(Buffer.from(formatBackupLine({ name: name as BackupName, bytes: bytes.length })), bytes);
  }
  const whole = Buffer.concat(parts);
  const sha256 = createHash('sha256').update(whole).digest('hex');
  fs.writeFileSync(file, Buffer.concat([whole, Buffer.from(formatBackupLine({ end: true, sha256 }))]));
}
