import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { AgentError } from '../errors.js';

/** Checks the engine's signatures (Murano section 1.7): RSASSA-PKCS1-v1_5 with SHA-256 over queue name and body. */
export class EngineKey {
  readonly #key: KeyObject;

  /** @param pem - PKCS#1 or SPKI. @throws AgentError USAGE */
  constructor(pem: string) {
    try {
      this.#key = createPublicKey(pem);
    } catch (error) {
      throw new AgentError('USAGE', 'engine_key in agent.conf is no public key in PEM form', error);
    }
    if (this.#key.asymmetricKeyType !== 'rsa') throw new AgentError('USAGE', 'engine_key in agent.conf is no RSA key');
  }

  isGood(queue: string, body: Uint8Array, signature: Uint8Array): boolean {
    return verify('sha256', Buffer.concat([Buffer.from(queue), body]), this.#key, signature);
  }
}
