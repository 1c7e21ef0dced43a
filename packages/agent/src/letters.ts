import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
import {
  limits,
  openLetter,
  signedBytes,
  type JoinAnswer,
  type PlanHeader,
  type PlanPayload,
} from '@torcello/contracts/agent';
import { planHeader, planPayload } from './plan-shape.js';
import { ShapeError, readJson } from './shape.js';

/** Why a letter is thrown away unread or half-read. None of these can be answered: nobody known to us wrote it to us. */
export type LetterFault =
  | 'TOO_LARGE'
  | 'NO_LETTER'
  | 'BAD_SIGNATURE'
  | 'BAD_HEADER'
  | 'OTHER_KEY'
  | 'OTHER_MACHINE'
  | 'OTHER_MAILBOX';

export type OpenedPlan =
  | { readonly isGood: false; readonly fault: LetterFault }
  | {
      readonly isGood: true;
      readonly header: PlanHeader;
      /** SHA-256 of the letter, hexadecimal. */
      readonly digest: string;
      /** A text when the payload cannot be carried out: why. */
      readonly payload: PlanPayload | string;
    };

/** Checks letters of kind `plan` that claim to be for this machine. */
export class LetterOpener {
  readonly #key: KeyObject;
  readonly #kid: string;
  readonly #identity: Pick<JoinAnswer, 'machineId' | 'mailbox'>;

  /** @throws a system error when `planKey` is no key. */
  constructor(identity: Pick<JoinAnswer, 'machineId' | 'mailbox' | 'planKey'>) {
    this.#identity = identity;
    this.#key = createPublicKey(identity.planKey);
    this.#kid = keyIdOf(this.#key);
  }

  /** In this order: size, framing, signature, and only then anything inside. */
  open(bytes: Uint8Array): OpenedPlan {
    if (bytes.length > limits.planBytesMax.value) return fault('TOO_LARGE');
    const parts = openLetter(bytes);
    if (parts === undefined) return fault('NO_LETTER');
    const signed = signedBytes(parts.header, parts.payload);
    if (!verify(null, signed, this.#key, parts.signature)) return fault('BAD_SIGNATURE');
    const header = read(() => readJson(parts.header, planHeader));
    if (typeof header === 'string') return fault('BAD_HEADER');
    const misdirection = this.#misdirection(header);
    if (misdirection !== undefined) return fault(misdirection);
    const digest = createHash('sha256').update(bytes).digest('hex');
    return { isGood: true, header, digest, payload: payloadOf(parts.payload, header) };
  }

  #misdirection(header: PlanHeader): LetterFault | undefined {
    if (header.kid !== this.#kid) return 'OTHER_KEY';
    if (header.machineId !== this.#identity.machineId) return 'OTHER_MACHINE';
    return header.mailbox === this.#identity.mailbox ? undefined : 'OTHER_MAILBOX';
  }
}

/** The payload of a letter that was verified before, read again from the journal. @throws TypeError when it is none. */
export function payloadOfStored(letter: Uint8Array): PlanPayload {
  const parts = openLetter(letter);
  if (parts === undefined) throw new TypeError('the journal holds a letter that is none');
  return readJson(parts.payload, planPayload);
}

/** Names a signing key: the first 16 hexadecimal digits of SHA-256 over its SPKI form. */
function keyIdOf(key: KeyObject): string {
  const spki = key.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 16);
}

function payloadOf(bytes: Uint8Array, header: PlanHeader): PlanPayload | string {
  const payload = read(() => readJson(bytes, planPayload));
  if (typeof payload === 'string') return `the plan cannot be read: ${payload}`;
  const isSame =
    payload.planId === header.planId &&
    payload.deploymentId === header.deploymentId &&
    payload.machine.id === header.machineId;
  return isSame ? payload : 'the plan names another plan, deployment or machine than its header';
}

function read<T>(reading: () => T): T | string {
  try {
    return reading();
  } catch (error) {
    if (error instanceof ShapeError) return error.message;
    throw error;
  }
}

function fault(code: LetterFault): OpenedPlan {
  return { isGood: false, fault: code };
}
