import { createHash, createHmac, scrypt, timingSafeEqual } from 'node:crypto';
import type { Random } from '@torcello/platform';

/** Cost of a password hash: 16 MiB of memory and some 40 ms of a processor. */
const cost = { N: 16_384, r: 8, p: 1 } as const;
const saltBytes = 16;
const hashBytes = 32;

/** A password as it is kept: `scrypt$salt$hash`, both in base64. */
export async function hashPassword(password: string, random: Random): Promise<string> {
  const salt = Buffer.from(random.bytes(saltBytes));
  const hash = await derive(password, salt);
  return `scrypt$${salt.toString('base64')}$${hash.toString('base64')}`;
}

/**
 * Tells whether a password is the one of a hash. Remembers the last right one for each hash as a keyed digest, so that a
 * thousand agents that come back at once do not cost a thousand slow hashes.
 */
export class PasswordCheck {
  readonly #key: Buffer;
  readonly #known = new Map<string, Buffer>();

  constructor(random: Random) {
    this.#key = Buffer.from(random.bytes(hashBytes));
  }

  async matches(password: string, stored: string): Promise<boolean> {
    const digest = createHmac('sha256', this.#key).update(password).digest();
    const known = this.#known.get(stored);
    if (known !== undefined) return timingSafeEqual(known, digest);
    const [kind, salt, hash] = stored.split('$');
    if (isRabbitMqKind(kind)) return matchesRabbitMq(password, kind, salt ?? '');
    if (kind !== 'scrypt' || salt === undefined || hash === undefined) return false;
    const right = Buffer.from(hash, 'base64');
    const isRight = timingSafeEqual(right, await derive(password, Buffer.from(salt, 'base64')));
    if (isRight) this.#known.set(stored, digest);
    return isRight;
  }

  /** The hash is no longer in use. */
  forget(stored: string): void {
    this.#known.delete(stored);
  }
}

/** RabbitMQ's algorithms by the kind that a hash of theirs has here. */
const rabbitMqKinds = {
  'rabbit-sha256': { algorithm: 'rabbit_password_hashing_sha256', digest: 'sha256', bytes: 32 },
  'rabbit-sha512': { algorithm: 'rabbit_password_hashing_sha512', digest: 'sha512', bytes: 64 },
} as const;
type RabbitMqKind = keyof typeof rabbitMqKinds;
const rabbitMqSaltBytes = 4;

/** A password hash of RabbitMQ's definitions as one that `PasswordCheck` knows; undefined for another algorithm. */
export function hashFromRabbitMq(hash: string, algorithm: unknown = defaultAlgorithm): string | undefined {
  const kind = (Object.keys(rabbitMqKinds) as RabbitMqKind[]).find((one) => rabbitMqKinds[one].algorithm === algorithm);
  if (kind === undefined) return undefined;
  const isWhole = Buffer.from(hash, 'base64').length === rabbitMqSaltBytes + rabbitMqKinds[kind].bytes;
  return isWhole ? `${kind}$${hash}` : undefined;
}

/** A stored hash as RabbitMQ's definitions have it; an empty one, with which nobody logs in, where RabbitMQ cannot check it. */
export function hashForRabbitMq(stored: string): { readonly hash: string; readonly algorithm: string } {
  const [kind = '', hash = ''] = stored.split('$');
  if (!isRabbitMqKind(kind)) return { hash: '', algorithm: defaultAlgorithm };
  return { hash, algorithm: rabbitMqKinds[kind].algorithm };
}

const defaultAlgorithm = rabbitMqKinds['rabbit-sha256'].algorithm;

function isRabbitMqKind(kind: string | undefined): kind is RabbitMqKind {
  return kind !== undefined && Object.hasOwn(rabbitMqKinds, kind);
}

/** RabbitMQ's hash: four bytes of salt and the digest of salt and password. */
function matchesRabbitMq(password: string, kind: RabbitMqKind, stored: string): boolean {
  const bytes = Buffer.from(stored, 'base64');
  const salt = bytes.subarray(0, rabbitMqSaltBytes);
  const hash = createHash(rabbitMqKinds[kind].digest).update(salt).update(password).digest();
  return timingSafeEqual(hash, bytes.subarray(rabbitMqSaltBytes));
}

function derive(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hashBytes, cost, (error, hash) => (error === null ? resolve(hash) : reject(error)));
  });
}
