import { MessagingError, type AbortSignalLike, type ErrorCode } from '@torcello/messaging';

/** What a peer says when it ends a link, session or connection, or rejects a message (AMQP 1.0 §2.8.14). */
export interface Condition {
  readonly condition: string;
  readonly description: string;
}

const codes: ReadonlyMap<string, ErrorCode> = new Map([
  ['amqp:not-found', 'NOT_FOUND'],
  ['amqp:unauthorized-access', 'ACCESS_REFUSED'],
  ['amqp:not-allowed', 'ACCESS_REFUSED'],
  ['amqp:resource-locked', 'RESOURCE_LOCKED'],
  ['amqp:resource-deleted', 'CONSUMER_ENDED'],
  ['amqp:precondition-failed', 'PRECONDITION_FAILED'],
  ['amqp:link:message-size-exceeded', 'TOO_LARGE'],
  ['amqp:connection:framing-error', 'PROTOCOL_ERROR'],
]);

/** The code for a condition, where it says enough. */
export function codeOf(condition: Condition | undefined, otherwise: ErrorCode): ErrorCode {
  return (condition === undefined ? undefined : codes.get(condition.condition)) ?? otherwise;
}

/** Reads a condition out of whatever the engine hands over. */
export function conditionOf(error: unknown): Condition | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { condition, description } = error as { condition?: unknown; description?: unknown };
  if (typeof condition !== 'string') return undefined;
  return { condition, description: typeof description === 'string' ? description : '' };
}

/** The peer refused or ended a link. */
export function linkError(
  condition: Condition | undefined,
  what: { readonly address: string; readonly otherwise: ErrorCode },
): MessagingError {
  const code = codeOf(condition, what.otherwise);
  const said = condition === undefined ? 'without a reason' : `${condition.condition} ${condition.description}`.trim();
  const details = { address: what.address, ...condition };
  return new MessagingError(code, `the broker ended the link to "${what.address}": ${said}`, { details });
}

/** The byte stream ended or was given up. */
export function connectionLost(why: string, cause?: unknown): MessagingError {
  const details = conditionOf(cause);
  const options = { cause, ...(details === undefined ? {} : { details: { ...details } }) };
  return new MessagingError('CONNECTION_LOST', `the connection to the broker is lost: ${why}`, options);
}

/** The same loss, told to one operation: `mayArrive` says whether its effect may still come about. */
export function lossOf(reason: MessagingError, mayArrive: boolean): MessagingError {
  const code = reason.code === 'CLOSED' ? 'CLOSED' : 'CONNECTION_LOST';
  return new MessagingError(code, reason.message, { cause: reason, details: { ...reason.details, mayArrive } });
}

export function closedByUs(): MessagingError {
  return new MessagingError('CLOSED', 'the connection was closed by this program');
}

export function aborted(signal: AbortSignalLike, mayArrive: boolean): MessagingError {
  return new MessagingError('ABORTED', 'the operation was given up', { cause: signal.reason, details: { mayArrive } });
}

export function lacks(capability: string, profile: string): MessagingError {
  const text = `a transport of the profile "${profile}" has no capability "${capability}"`;
  return new MessagingError('CAPABILITY_MISSING', text, { details: { needs: capability, profile } });
}
