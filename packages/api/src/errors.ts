/**
 * Every refusal that the API answers with. `code` is for programs, `status` is HTTP's, `title` says what kind of thing
 * happened; the detail of each case says to what, and its cure what to try next.
 */
export const refusals: Readonly<Record<RefusalCode, { readonly status: number; readonly title: string }>> = {
  invalid_request: { status: 400, title: 'The request is not well formed' },
  invalid_property: { status: 400, title: 'A property of the application is wrong' },
  unknown_package: { status: 400, title: 'There is no such package' },
  package_invalid: { status: 400, title: 'The package cannot be used' },
  package_not_runnable: { status: 400, title: 'Packages of this format are stored and not run' },
  session_missing: { status: 400, title: 'The request needs a configuration session' },
  unauthorized: { status: 401, title: 'The token is missing or wrong' },
  token_unknown: { status: 401, title: 'The join token is not valid' },
  forbidden: { status: 403, title: 'The token may not do this' },
  session_invalid: { status: 403, title: 'The session cannot be used any more' },
  not_found: { status: 404, title: 'There is no such thing' },
  method_not_allowed: { status: 405, title: 'The address does not know this method' },
  name_taken: { status: 409, title: 'The name is taken' },
  package_exists: { status: 409, title: 'This version of the package is there with other content' },
  package_in_use: { status: 409, title: 'The package is in use' },
  environment_busy: { status: 409, title: 'The environment is being worked on' },
  machines_unfit: { status: 409, title: 'The machines do not fit the application' },
  service_deployed: { status: 409, title: 'A deployed service cannot be taken away alone' },
  already_finished: { status: 409, title: 'The deployment has ended' },
  not_resumable: { status: 409, title: 'The deployment cannot be resumed' },
  mailbox_closed: { status: 409, title: 'The mailbox has ended' },
  request_differs: { status: 422, title: 'The idempotency key was used for another request' },
  shown_once: { status: 409, title: 'What the first request with this key made is shown once' },
  token_used: { status: 409, title: 'The join token was used by another agent' },
  login_refused: { status: 409, title: 'This broker gives agents no login of their own' },
  past_retention: { status: 410, title: 'It was dropped, past its retention' },
  too_large: { status: 413, title: 'It is larger than allowed' },
  unsupported_media_type: { status: 415, title: 'The type of the body is not understood' },
  not_ready: { status: 503, title: 'Something that this needs is away' },
  overloaded: { status: 503, title: 'Too much waits to be sent' },
  internal: { status: 500, title: 'The API made a mistake' },
};

export type RefusalCode =
  | 'invalid_request'
  | 'invalid_property'
  | 'unknown_package'
  | 'package_invalid'
  | 'package_not_runnable'
  | 'session_missing'
  | 'unauthorized'
  | 'token_unknown'
  | 'forbidden'
  | 'session_invalid'
  | 'not_found'
  | 'method_not_allowed'
  | 'name_taken'
  | 'package_exists'
  | 'package_in_use'
  | 'environment_busy'
  | 'machines_unfit'
  | 'service_deployed'
  | 'already_finished'
  | 'not_resumable'
  | 'mailbox_closed'
  | 'request_differs'
  | 'shown_once'
  | 'token_used'
  | 'login_refused'
  | 'past_retention'
  | 'too_large'
  | 'unsupported_media_type'
  | 'not_ready'
  | 'overloaded'
  | 'internal';

/** A request that is refused: thrown in a handler, answered with the status of its code. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  /** The next thing to try, where there is one. */
  readonly cure: string | undefined;

  constructor(code: RefusalCode, detail: string, options: { readonly cure?: string; readonly cause?: unknown } = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Refusal';
    this.code = code;
    this.cure = options.cure;
  }
}

/** Why the API does not start: one line that names the thing and the cure. */
export class StartError extends Error {
  readonly code: StartErrorCode;

  constructor(code: StartErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = 'StartError';
    this.code = code;
  }
}

export type StartErrorCode =
  | 'USAGE'
  | 'DATA_UNUSABLE'
  | 'DATA_IN_USE'
  | 'DATA_NEWER'
  | 'DATA_DAMAGED'
  | 'BACKUP_INVALID'
  | 'SQLITE_MISSING'
  | 'ADDRESS_REFUSED'
  | 'PORT_IN_USE'
  | 'KEY_UNREADABLE'
  | 'BROKER_REFUSED';
