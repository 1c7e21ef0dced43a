import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import type { Random } from '@torcello/platform';
import { systemCode } from '../cli-error.js';
import { writePrivate, type DataFolderFiles } from './data-folder.js';

/** The control plane's login at the embedded broker. */
export interface BrokerLogin {
  readonly user: string;
  readonly password: string;
}

/** The login kept in the data folder, made at the first start. */
export async function brokerLogin(files: DataFolderFiles, random: Random): Promise<BrokerLogin> {
  const kept = await readIfThere(files.brokerLogin);
  if (kept !== undefined) return JSON.parse(kept) as BrokerLogin;
  const login = { user: 'torcello', password: Buffer.from(random.bytes(24)).toString('base64url') };
  await writePrivate(files.brokerLogin, `${JSON.stringify(login)}\n`);
  return login;
}

/**
 * Makes the key that plans are signed with (Ed25519, PKCS #8 PEM, mode 0600) and its public half beside it (SPKI PEM),
 * unless they are there: the API needs the public half before the first conductor runs.
 */
export async function ensurePlanKey(files: DataFolderFiles): Promise<void> {
  if ((await readIfThere(files.planKey)) !== undefined && (await readIfThere(files.planKeyPublic)) !== undefined)
    return;
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  await writePrivate(files.planKey, privateKey);
  await writeFile(files.planKeyPublic, publicKey);
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
