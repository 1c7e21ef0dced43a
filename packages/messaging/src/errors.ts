/**
 * The registry of operating errors: every failure that the library reports carries one of these codes. Text is for
 * people and may change; programs look at `code`. `radius` says what is damaged besides the operation itself.
 */
export const errorCodes: Readonly<Record<ErrorCode, ErrorCodeMeaning>> = {
  UNROUTABLE: { radius: 'message', retryable: true, means: 'no queue takes messages for this destination' },
  NO_SERVER: { radius: 'message', retryable: true, means: 'the topic is known, but none of its servers is there' },
  NOT_CONFIRMED: { radius: 'message', retryable: true, means: 'the broker refused responsibility for the message' },
  TIMEOUT: { radius: 'message', retryable: true, means: 'the answer did not come within the time allowed' },
  ABORTED: { radius: 'message', retryable: false, means: 'the caller gave up through its AbortSignal' },
  TOO_LARGE: { radius: 'message', retryable: false, means: 'the message is larger than the transport carries' },
  QUOTA_EXCEEDED: {
    radius: 'message',
    retryable: true,
    means: 'the mailbox, or the connection, holds as much as it may',
  },
  EXPIRED: { radius: 'message', retryable: false, means: 'the mailbox or the letter is past its time' },
  UNDECODABLE: { radius: 'message', retryable: false, means: 'the body is not in the expected format' },
  CONTRACT_VIOLATED: { radius: 'message', retryable: false, means: 'a value does not fit the contract' },
  REMOTE_ERROR: { radius: 'message', retryable: false, means: 'the remote method failed with an error of its own' },
  NO_SUCH_METHOD: { radius: 'message', retryable: false, means: 'the server has no such method' },
  UNSUPPORTED_VERSION: { radius: 'message', retryable: false, means: 'no server of the topic speaks this version' },
  VERSION_CAPPED: {
    radius: 'message',
    retryable: false,
    means: 'the call needs a newer version than the client allows',
  },
  INVALID_TARGET: { radius: 'message', retryable: false, means: 'the target does not fit the operation' },
  NOT_FOUND: { radius: 'link', retryable: false, means: 'the queue or exchange does not exist' },
  PRECONDITION_FAILED: { radius: 'link', retryable: false, means: 'it exists with other properties' },
  RESOURCE_LOCKED: { radius: 'link', retryable: true, means: 'another connection uses it exclusively' },
  CONSUMER_ENDED: { radius: 'link', retryable: true, means: 'the broker ended the consumer' },
  ACCESS_REFUSED: { radius: 'link', retryable: false, means: 'the login may not do this' },
  CONNECT_FAILED: { radius: 'connection', retryable: true, means: 'no host of the URL could be reached' },
  LOGIN_REFUSED: { radius: 'connection', retryable: false, means: 'the broker refused the login' },
  CONNECTION_LOST: { radius: 'connection', retryable: true, means: 'the connection ended before the answer came' },
  PROTOCOL_ERROR: { radius: 'connection', retryable: true, means: 'the peer broke the protocol' },
  CLOSED: { radius: 'connection', retryable: false, means: 'the transport was closed by this program' },
  INVALID_URL: { radius: 'connection', retryable: false, means: 'the transport URL cannot be used' },
  CAPABILITY_MISSING: {
    radius: 'connection',
    retryable: false,
    means: 'the transport lacks something the program needs',
  },
};

export type ErrorCode =
  | 'UNROUTABLE'
  | 'NO_SERVER'
  | 'NOT_CONFIRMED'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'TOO_LARGE'
  | 'QUOTA_EXCEEDED'
  | 'EXPIRED'
  | 'UNDECODABLE'
  | 'CONTRACT_VIOLATED'
  | 'REMOTE_ERROR'
  | 'NO_SUCH_METHOD'
  | 'UNSUPPORTED_VERSION'
  | 'VERSION_CAPPED'
  | 'INVALID_TARGET'
  | 'NOT_FOUND'
  | 'PRECONDITION_FAILED'
  | 'RESOURCE_LOCKED'
  | 'CONSUMER_ENDED'
  | 'ACCESS_REFUSED'
  | 'CONNECT_FAILED'
  | 'LOGIN_REFUSED'
  | 'CONNECTION_LOST'
  | 'PROTOCOL_ERROR'
  | 'CLOSED'
  | 'INVALID_URL'
  | 'CAPABILITY_MISSING';

export interface ErrorCodeMeaning {
  readonly radius: Radius;
  readonly retryable: boolean;
  readonly means: string;
}

/** What is damaged: only this message, the queue or exchange it used, or everything on the connection. */
export type Radius = 'message' | 'link' | 'connection';

/** Every operating error of the library. Recognise it with `isMessagingError`, tell them apart by `code`. */
export class MessagingError extends Error {
  readonly code: ErrorCode;
  readonly radius: Radius;
  /** The same operation may succeed later without a change of program or configuration. */
  readonly retryable: boolean;
  /** Facts for programs: names, limits, both sides of a mismatch. `mayArrive` is set on sends of unknown fate. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MessagingError';
    this.code = code;
    this.radius = errorCodes[code].radius;
    this.retryable = errorCodes[code].retryable;
    this.details = options.details ?? {};
  }
}

/** Whether it is an error of this library, also one of another copy of the package. */
export function isMessagingError(error: unknown, code?: ErrorCode): error is MessagingError {
  if (!(error instanceof Error) || error.name !== 'MessagingError') return false;
  return code === undefined || (error as MessagingError).code === code;
}
