import { createPublicKey, verify } from 'node:crypto';
import { type CancelPayload, type PlanHeader, type PlanPayload, openLetter, signedBytes } from '@torcello/contracts';
import { planSigner } from '../../src/index.js';
import { testKey } from './world.js';

const publicKey = createPublicKey(planSigner(testKey).publicKey);

/** What a letter says, once its signature is found good. */
export function readLetter<Payload extends PlanPayload | CancelPayload = PlanPayload>(
  bytes: Uint8Array,
): { readonly header: PlanHeader; readonly payload: Payload } {
  const opened = openLetter(bytes);
  if (opened === undefined) throw new Error('this is no letter');
  const { header, payload, signature } = opened;
  if (!verify(null, signedBytes(header, payload), publicKey, signature)) throw new Error('the signature is not good');
  const parse = (part: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(part));
  return { header: parse(header) as PlanHeader, payload: parse(payload) as Payload };
}
