import type { JoinAnswer } from '@torcello/contracts/agent';
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { AgentError, systemCode } from './errors.js';
import { writeFileDurably } from './files-sync.js';
import { ShapeError, fields, integer, readJson, text } from './shape.js';

/** What an agent keeps of its join, `agent.json`, mode 0600. */
export interface StoredIdentity extends JoinAnswer {
  /** The API that it joined, and the machine as the join line named it. */
  readonly api: string;
  readonly machine: string;
  /** SHA-256 of the token, hexadecimal: the same line again is no new join. */
  readonly tokenDigest: string;
}

const joinAnswerFields = {
  machineId: text,
  machineName: text,
  enrolment: integer(0),
  mailbox: text,
  transportUrl: text,
  planKey: text,
  heartbeatMs: integer(10, 3_600_000),
} as const;

const storedIdentity = fields({ ...joinAnswerFields, api: text, machine: text, tokenDigest: text });

/** @throws ShapeError */
export function readJoinAnswer(bytes: Uint8Array): JoinAnswer {
  return readJson(bytes, fields(joinAnswerFields));
}

/** Undefined when the agent never joined. @throws AgentError DATA_UNREADABLE */
export async function loadIdentity(dataFolder: string): Promise<StoredIdentity | undefined> {
  const file = path.join(dataFolder, 'agent.json');
  const bytes = await readIfThere(file);
  if (bytes === undefined) return undefined;
  try {
    return readJson(bytes, storedIdentity);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new AgentError(
      'DATA_UNREADABLE',
      `${file} cannot be used: ${error.message}. Remove it and join again`,
      error,
    );
  }
}

export async function saveIdentity(dataFolder: string, identity: StoredIdentity): Promise<void> {
  await writeFileDurably(path.join(dataFolder, 'agent.json'), `${JSON.stringify(identity, null, 2)}\n`, 0o600);
}

/**
 * The public half of the agent's own Ed25519 key, SPKI in PEM. The private half is made at the first call, kept in
 * `agent.key` with mode 0600, and never leaves the machine.
 */
export async function openAgentKey(dataFolder: string): Promise<string> {
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  const file = path.join(dataFolder, 'agent.key');
  const stored = await readIfThere(file);
  if (stored === undefined) {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    await writeFileDurably(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
    return publicKey.export({ type: 'spki', format: 'pem' }).toString();
  }
  try {
    return createPublicKey(createPrivateKey(stored)).export({ type: 'spki', format: 'pem' }).toString();
  } catch (error) {
    throw new AgentError('DATA_UNREADABLE', `${file} is no private key. Remove it and join again`, error);
  }
}

export function digestOfToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new AgentError('DATA_UNREADABLE', `${file} cannot be read: ${(error as Error).message}`, error);
  }
}
