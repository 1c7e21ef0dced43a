import { CliError, systemCode } from '../cli-error.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import type { ServerAddress } from './http.js';

/** No answer at all: exit code 4. */
export function unreachable(address: ServerAddress, error: unknown): CliError {
  const code = systemCode(error);
  return new CliError(
    'unreachable',
    `cannot reach the API at ${address.url}${code === undefined ? '' : ` (${code})`}`,
    {
      exitCode: exitCodes.unreachable,
      cause: error,
      cure: `start it with "torcello up", or name another with --data or TORCELLO_URL (this address is from ${address.foundIn})`,
    },
  );
}

/** What the API's refusal says, as the error that ends a command. */
export async function refusal(response: Response, address: ServerAddress): Promise<CliError> {
  const said = readProblem(await response.text());
  const message = said.message ?? `the API answered ${response.status} ${response.statusText}`.trimEnd();
  const code = said.code ?? `http_${response.status}`;
  const cure =
    said.cure ??
    (response.status === 401
      ? `the token is from ${address.foundIn}; set TORCELLO_TOKEN or name the data folder with --data`
      : undefined);
  return new CliError(code, message, { exitCode: exitCodeOf(response.status), cure });
}

function exitCodeOf(status: number): ExitCode {
  if (status === 503 || status === 502 || status === 504) return exitCodes.unreachable;
  return status >= 500 ? exitCodes.allFailed : exitCodes.usage;
}

interface Problem {
  readonly message?: string;
  readonly code?: string;
  readonly cure?: string;
}

/** Reads both shapes that the API refuses with: problem+json, and Murano's `{"error": {...}}`. */
function readProblem(text: string): Problem {
  const body = parseObject(text);
  const inner = body['error'];
  const fields = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : body;
  const message = textOf(fields['detail']) ?? textOf(fields['message']) ?? textOf(fields['title']);
  const code = textOf(fields['code']);
  const cure = textOf(fields['cure']);
  return {
    ...(message === undefined ? {} : { message }),
    ...(code === undefined ? {} : { code }),
    ...(cure === undefined ? {} : { cure }),
  };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
