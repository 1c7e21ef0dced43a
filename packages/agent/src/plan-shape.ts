import { limits, type CancelPayload, type PlanHeader, type PlanPayload } from '@torcello/contracts/agent';
import { fields, hexDigits, integer, listOf, mapOf, oneOf, optional, plainText, text, type Reader } from './shape.js';

const boolean: Reader<boolean> = (value) => value === true;
const words = listOf(plainText, { least: 1, most: 10_000 });

/** The header of a letter; only for bytes whose signature is good. */
export const planHeader: Reader<PlanHeader> = exact(
  fields({
    kid: text,
    kind: optional(oneOf('plan', 'cancel')),
    planId: hexDigits,
    deploymentId: hexDigits,
    machineId: text,
    mailbox: text,
    enrolment: integer(0),
    epoch: integer(0),
    startByMs: optional(integer(0)),
    replaces: optional(listOf(hexDigits, { most: 10_000 })),
  }),
);

const planFile = fields({
  path: plainText,
  mode: integer(0, 0o7777),
  body: text,
  remove: optional(boolean),
});

const planStep = fields({
  name: plainText,
  files: listOf(planFile, { most: 10_000 }),
  command: optional(words),
  env: mapOf(plainText),
  timeoutMs: integer(1, limits.stepTimeoutMsMax.value),
  onInterrupt: oneOf('fail', 'rerun', 'check'),
  check: optional(words),
  reboot: optional(oneOf('expected')),
});

/** What every payload says first, so that one of a newer release can be told from a broken one. */
export const payloadFormat: Reader<{ readonly format: string }> = fields({ format: text });

/** The payload of a letter of kind `cancel`. */
export const cancelPayload: Reader<CancelPayload> = fields({
  format: oneOf('torcello/1'),
  planId: hexDigits,
  graceMs: integer(0, limits.stepTimeoutMsMax.value),
});

/** The payload of a letter: plan format `torcello/1`. */
export const planPayload: Reader<PlanPayload> = exact(
  fields({
    format: oneOf('torcello/1'),
    deploymentId: hexDigits,
    planId: hexDigits,
    stage: text,
    action: oneOf('deploy', 'destroy'),
    environment: fields({ id: plainText, name: plainText }),
    service: fields({ id: plainText, type: text }),
    machine: fields({ id: plainText, name: plainText, role: text, index: integer(0) }),
    steps: listOf(planStep, { most: limits.planStepsMax.value }),
  }),
);

/**
 * `fields` leaves an absent optional field out, which its type cannot say under `exactOptionalPropertyTypes`.
 */
function exact<T>(reader: Reader<unknown>): Reader<T> {
  return (value, path) => reader(value, path) as T;
}
