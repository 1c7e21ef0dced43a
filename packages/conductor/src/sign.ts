import {
  type KeyObject,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  sign,
} from 'node:crypto';
import { link, mkdir, open, readFile, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type CancelPayload, type PlanHeader, type PlanPayload, sealLetter, signedBytes } from '@torcello/contracts';

/** Signs plans, and the words that end them, with one Ed25519 key. */
export interface PlanSigner {
  /** The first 16 hexadecimal digits of SHA-256 over the public key in SPKI form; names the key in every plan. */
  readonly kid: string;
  /** Half of the key that agents verify with, SPKI in PEM. */
  readonly publicKey: string;
  /** The exact bytes of the letter. The signature covers `signedBytes`, of header and payload as they are sent. */
  seal(header: Omit<PlanHeader, 'kid'>, payload: PlanPayload | CancelPayload): Uint8Array;
}

/** @throws TypeError when the key is not an Ed25519 private key in PEM. */
export function planSigner(privateKeyPem: string): PlanSigner {
  const privateKey = readPrivateKey(privateKeyPem);
  const publicKey = createPublicKey(privateKey);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const kid = createHash('sha256').update(spki).digest('hex').slice(0, 16);
  return {
    kid,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    seal: (fields, payload) => {
      const headerBytes = encode({ kid, ...fields });
      const payloadBytes = encode(payload);
      const signature = new Uint8Array(sign(null, signedBytes(headerBytes, payloadBytes), privateKey));
      return sealLetter({ header: headerBytes, payload: payloadBytes, signature });
    },
  };
}

/**
 * The signer of the key in `path`. Where there is none, a key is made: the private half with mode 0600, the public half
 * beside it as `path` + `.pub`. Two conductors that start at once end with the same key: the first file wins.
 */
export async function openPlanKey(path: string): Promise<PlanSigner> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const existing = await readIfThere(path);
  const signer = planSigner(existing ?? (await makeKey(path)));
  await writeOnce(`${path}.pub`, signer.publicKey, 0o644);
  return signer;
}

async function makeKey(path: string): Promise<string> {
  const { privateKey } = generateKeyPairSync('ed25519');
  await writeOnce(path, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600);
  return await readFile(path, 'utf8');
}

/** Writes a whole file or nothing; a file that is there already stays as it is. */
async function writeOnce(path: string, text: string, mode: number): Promise<void> {
  if ((await readIfThere(path)) !== undefined) return;
  const temporary = `${path}.${randomUUID()}.new`;
  const file = await open(temporary, 'w', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(temporary, path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await unlink(temporary);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function readPrivateKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new TypeError('the plan key is not a private key in PEM', { cause });
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError('the plan key is not an Ed25519 key');
  return key;
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown }).code;
}
