/** Why an agent cannot start or go on. The code is for programs, the message is one line for people with the cure. */
export type AgentErrorCode =
  | 'USAGE'
  | 'NOT_JOINED'
  | 'JOINED_ELSEWHERE'
  | 'DATA_IN_USE'
  | 'DATA_UNREADABLE'
  | 'INSECURE_ADDRESS'
  | 'API_UNREACHABLE'
  | 'TOKEN_UNKNOWN'
  | 'TOKEN_USED'
  | 'JOIN_REFUSED'
  | 'LOGIN_REFUSED'
  | 'JOURNAL_FAILED';

const exitCodes: Readonly<Record<AgentErrorCode, number>> = {
  USAGE: 1,
  NOT_JOINED: 1,
  JOINED_ELSEWHERE: 1,
  DATA_IN_USE: 1,
  DATA_UNREADABLE: 1,
  INSECURE_ADDRESS: 1,
  API_UNREACHABLE: 4,
  TOKEN_UNKNOWN: 4,
  TOKEN_USED: 4,
  JOIN_REFUSED: 4,
  LOGIN_REFUSED: 4,
  JOURNAL_FAILED: 1,
};

export class AgentError extends Error {
  readonly code: AgentErrorCode;
  /** 1: wrong use or a broken data folder. 4: the API or broker is away or does not let the agent in. */
  readonly exitCode: number;

  constructor(code: AgentErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'AgentError';
    this.code = code;
    this.exitCode = exitCodes[code];
  }
}

/** There is no room for this record, and its writer can do without it. Nothing was written, and the journal goes on. */
export class JournalFullError extends Error {
  readonly code = 'JOURNAL_FULL';
}

/** Node's code of a system error (`ENOENT`), or undefined. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : undefined;
}
