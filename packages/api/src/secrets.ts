import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Random } from '@torcello/platform';

/** What the API knows and nobody may read: kept in files of mode 0600 in the data folder, made at the first start. */
export class Secrets {
  readonly adminToken: string;
  readonly #key: Uint8Array;

  constructor(parts: { readonly adminToken: string; readonly key: Uint8Array }) {
    this.adminToken = parts.adminToken;
    this.#key = parts.key;
  }

  isAdmin(token: string): boolean {
    return isSame(token, this.adminToken);
  }

  /** Good for the packages of one deployment. Nothing is stored: the token proves itself. */
  filesToken(deploymentId: string): string {
    return `tcfiles1.${deploymentId}.${this.#mac(`files:${deploymentId}`)}`;
  }

  /** The deployment whose packages a files token opens, or undefined. */
  deploymentOfFilesToken(token: string): string | undefined {
    const [, deploymentId] = /^tcfiles1\.([0-9a-f]{32})\./.exec(token) ?? [];
    return deploymentId !== undefined && isSame(token, this.filesToken(deploymentId)) ? deploymentId : undefined;
  }

  /** Password of an agent's own login. Derived, so that joining again gives the same answer and no table holds it. */
  agentPassword(machineId: string, enrolment: number): string {
    return this.#mac(`agent:${machineId}:${enrolment}`);
  }

  #mac(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }
}

/** Reads the secrets of a data folder, making those that are missing. */
export function openSecrets(dataDirectory: string, random: Random): Secrets {
  const token = readOrMake(path.join(dataDirectory, 'admin-token'), () => `tcadmin1_${base64url(random.bytes(32))}\n`);
  const key = readOrMake(path.join(dataDirectory, 'api-secret'), () => `${base64url(random.bytes(32))}\n`);
  return new Secrets({ adminToken: token.trim(), key: Buffer.from(key.trim(), 'base64url') });
}

/** SHA-256 in hexadecimal: how tokens are stored. They are random, so that no slow hash is needed. */
export function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function isSame(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function readOrMake(file: string, make: () => string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const text = make();
  const temporary = `${file}.new`;
  fs.writeFileSync(temporary, text, { mode: 0o600 });
  fs.renameSync(temporary, file);
  return text;
}
