import { exitCodes, type ExitCode } from './exit-codes.js';

/** An operating error that ends a command: what happened to what, and what to try next. */
export class CliError extends Error {
  readonly code: string;
  readonly exitCode: ExitCode;
  /** One sentence or command that helps. */
  readonly cure: string | undefined;

  constructor(
    code: string,
    message: string,
    options: { readonly exitCode?: ExitCode; readonly cure?: string | undefined; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'CliError';
    this.code = code;
    this.exitCode = options.exitCode ?? exitCodes.usage;
    this.cure = options.cure;
  }
}

/** Refused input: exit code 1. */
export function usageError(message: string, cure?: string): CliError {
  return new CliError('usage', message, { cure });
}

/** The system's own code of an error (`ENOENT`, `ECONNREFUSED`), looked for in its causes too. */
export function systemCode(error: unknown): string | undefined {
  const { code, cause, errors } = (error ?? {}) as { code?: unknown; cause?: unknown; errors?: unknown };
  if (typeof code === 'string' && !(error instanceof CliError)) return code;
  if (Array.isArray(errors)) return systemCode(errors[0]);
  return cause === undefined ? undefined : systemCode(cause);
}
