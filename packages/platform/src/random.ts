import { randomBytes, randomUUID } from 'node:crypto';

/** Where unpredictable values come from. Ids, tokens and jitter all ask here, so that a seed replays a run. */
export interface Random {
  /** At least 0 and below 1. For jitter, never for secrets. */
  fraction(): number;
  /** `length` bytes fit for secrets (the real one reads the operating system's generator). */
  bytes(length: number): Uint8Array;
  /** A random UUID (version 4) in its dashed form. */
  uuid(): string;
}

export const systemRandom: Random = {
  fraction: () => Math.random(),
  bytes: (length) => new Uint8Array(randomBytes(length)),
  uuid: () => randomUUID(),
};

/** A random UUID as 32 hexadecimal digits: the form of Murano's ids and of oslo.messaging's message ids. */
export function hexId(random: Random): string {
  const id = random.uuid();
  return id.slice(0, 8) + id.slice(9, 13) + id.slice(14, 18) + id.slice(19, 23) + id.slice(24);
}
