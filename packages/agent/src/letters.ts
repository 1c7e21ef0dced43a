import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
import {
  limits,
  openLetter,
  signedBytes,
  type CancelPayload,
  type JoinAnswer,
  type PlanHeader,
  type PlanPayload,
} from '@torcello/contracts/agent';
import { cancelPayload, payloadFormat, planHeader, planPayload } from './plan-shape.js';
import { ShapeError, readJson, type Reader } from './shape.js';

/** Why a letter is thrown away unread or half-read. None of these can be answered: nobody known to us wrote it to us. */
export type LetterFault =
  | 'TOO_LARGE'
  | 'NO_LETTER'
  | 'BAD_SIGNATURE'
  | 'BAD_HEADER'
  | 'OTHER_KIND'
  | 'OTHER_KEY'
  | 'OTHER_MACHINE'
  | 'OTHER_MAILBOX';

/** A letter that is certainly from the control plane and for this machine. */
export interface GoodLetter<Payload> {
  readonly isGood: true;
  readonly header: PlanHeader;
  /** SHA-256 of the letter, hexadecimal. */
  readonly digest: string;
  /** A text when the payload cannot be carried out: why. */
  readonly payload: Payload | string;
}
export interface BadLetter {
  readonly isGood: false;
  readonly fault: LetterFault;
}
export type OpenedPlan = GoodLetter<PlanPayload> | BadLetter;
export type OpenedCancel = GoodLetter<CancelPayload> | BadLetter;

/** Checks letters of the kinds `plan` and `cancel` that claim to be for this machine. */
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

  openPlan(bytes: Uint8Array): OpenedPlan {
    return this.#open(bytes, 'plan', planPayloadOf);
  }

  openCancel(bytes: Uint8Array): OpenedCancel {
    return this.#open(bytes, 'cancel', cancelPayloadOf);
  }

  /** In this order: size, framing, signature, and only then anything inside. The kind is what the signed header says. */
  #open<Payload>(
    bytes: Uint8Array,
    kind: 'plan' | 'cancel',
    payloadOf: (bytes: Uint8Array, header: PlanHeader) => Payload | string,
  ): GoodLetter<Payload> | BadLetter {
    if (bytes.length > limits.planBytesMax.value) return fault('TOO_LARGE');
    const parts = openLetter(bytes);
    if (parts === undefined) return fault('NO_LETTER');
    const signed = signedBytes(parts.header, parts.payload);
    if (!verify(null, signed, this.#key, parts.signature)) return fault('BAD_SIGNATURE');
    const header = read(() => readJson(parts.header, planHeader));
    if (typeof header === 'string') return fault('BAD_HEADER');
    if ((header.kind ?? 'plan') !== kind) return fault('OTHER_KIND');
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

function planPayloadOf(bytes: Uint8Array, header: PlanHeader): PlanPayload | string {
  const payload = readPayload(bytes, planPayload);
  if (typeof payload === 'string') return payload;
  const isSame =
    payload.planId === header.planId &&
    payload.deploymentId === header.deploymentId &&
    payload.machine.id === header.machineId;
  return isSame ? payload : 'the plan names another plan, deployment or machine than its header';
}

function cancelPayloadOf(bytes: Uint8Array, header: PlanHeader): CancelPayload | string {
  const payload = readPayload(bytes, cancelPayload);
  if (typeof payload === 'string') return payload;
  return payload.planId === header.planId ? payload : 'the cancel names another plan than its header';
}

/** A text where it cannot be read: why. */
function readPayload<T>(bytes: Uint8Array, reader: Reader<T>): T | string {
  const named = read(() => readJson(bytes, payloadFormat));
  if (typeof named !== 'string' && named.format !== 'torcello/1') {
    const format = JSON.stringify(named.format.slice(0, 50));
    return `the plan has the format ${format}, and this agent knows "torcello/1": update the agent of this machine`;
  }
  const payload = read(() => readJson(bytes, reader));
  return typeof payload === 'string' ? `the plan cannot be read: ${payload}` : payload;
}

function read<T>(reading: () => T): T | string {
  try {
    return reading();
  } catch (error) {
    if (error instanceof ShapeError) return error.message;
    throw error;
  }
}

function fault(code: LetterFault): BadLetter {
  return { isGood: false, fault: code };
}
