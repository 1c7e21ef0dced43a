/**
 * Plan format `torcello/1`: what one machine is asked to do in one stage. A plan travels as a letter of exact bytes:
 *
 *   u32 length of header | header | u32 length of payload | payload | 64 bytes Ed25519 signature      (big endian)
 *
 * Header and payload are JSON. The signature covers `signedBytes(header, payload)`: a domain, then each part behind its
 * length, so that nothing can be moved from one part into the other. Nothing is parsed before it is verified.
 */
export interface PlanHeader {
  /** Names the signing key: the first 16 hexadecimal digits of SHA-256 over its SPKI form. */
  readonly kid: string;
  /** `cancel`: the payload is a `CancelPayload` and `planId` names the plan to end. Absent: a plan. */
  readonly kind?: 'plan' | 'cancel';
  readonly planId: string;
  readonly deploymentId: string;
  /** The machine, its mailbox and its enrolment: a letter moved elsewhere is refused. */
  readonly machineId: string;
  readonly mailbox: string;
  /** Counts the agents that a machine ever had, from 1. A plan written before the machine joined is for the next one. */
  readonly enrolment: number;
  /** Epoch of the lease under which the plan was decided; fences off an older holder. */
  readonly epoch: number;
  /** Milliseconds since 1970; an agent that takes the plan later answers `expired`. Absent: no bound. */
  readonly startByMs?: number;
  /** Plans of a superseded deployment: the agent drops those it has not started, unread where they still wait. */
  readonly replaces?: readonly string[];
}

/** What a letter of kind `cancel` carries. For a plan that the agent does not know yet it leaves a tombstone. */
export interface CancelPayload {
  readonly format: 'torcello/1';
  readonly planId: string;
  /** How long a running step gets to end by itself before its process tree is killed. */
  readonly graceMs: number;
}

export interface PlanPayload {
  readonly format: 'torcello/1';
  readonly deploymentId: string;
  readonly planId: string;
  readonly stage: string;
  readonly action: 'deploy' | 'destroy';
  /** Names for people and for the folder of the application on the machine. */
  readonly environment: { readonly id: string; readonly name: string };
  readonly service: { readonly id: string; readonly type: string };
  readonly machine: { readonly id: string; readonly name: string; readonly role: string; readonly index: number };
  readonly steps: readonly PlanStep[];
}

/** First the files are laid down, then the command runs. Everything is final: no expression is left. */
export interface PlanStep {
  readonly name: string;
  readonly files: readonly PlanFile[];
  /** Program and arguments; a relative program path is looked up in the application's folder. Absent: files only. */
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The command's process tree is ended after this time, and the step has failed. */
  readonly timeoutMs: number;
  readonly onInterrupt: 'fail' | 'rerun' | 'check';
  /** For `check`: exit code 0 means that the interrupted step had done its work. */
  readonly check?: readonly string[];
  /** The step restarts the machine: when it is up again the plan goes on with the next step. Exit code 194 asks for the same. */
  readonly reboot?: 'expected';
}

export interface PlanFile {
  /** Relative to the application's folder (and then never outside of it), or absolute. */
  readonly path: string;
  /** Permission bits, as 0o644. */
  readonly mode: number;
  /** Base64. */
  readonly body: string;
  /** True: the file is removed instead of written. */
  readonly remove?: boolean;
}

export interface OpenedLetter {
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

const domain = 'torcello-plan-v1\n';
const signatureBytes = 64;

/** The bytes that are signed and verified. */
export function signedBytes(header: Uint8Array, payload: Uint8Array): Uint8Array {
  return concat([new TextEncoder().encode(domain), lengthOf(header), header, lengthOf(payload), payload]);
}

/** Puts the parts of a letter together. */
export function sealLetter({ header, payload, signature }: OpenedLetter): Uint8Array {
  if (signature.length !== signatureBytes) throw new TypeError(`an Ed25519 signature has ${signatureBytes} bytes`);
  return concat([lengthOf(header), header, lengthOf(payload), payload, signature]);
}

/** Takes a letter apart, without looking inside. Undefined when the bytes are no letter. */
export function openLetter(bytes: Uint8Array): OpenedLetter | undefined {
  const header = partAt(bytes, 0);
  if (header === undefined) return undefined;
  const payload = partAt(bytes, 4 + header.length);
  if (payload === undefined) return undefined;
  const signature = bytes.subarray(8 + header.length + payload.length);
  return signature.length === signatureBytes ? { header, payload, signature } : undefined;
}

function partAt(bytes: Uint8Array, offset: number): Uint8Array | undefined {
  if (bytes.length < offset + 4) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset + offset, 4).getUint32(0);
  const end = offset + 4 + length;
  return bytes.length < end ? undefined : bytes.subarray(offset + 4, end);
}

function lengthOf(part: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, part.length);
  return length;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
