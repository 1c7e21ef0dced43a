import { sleep, type Clock } from '@torcello/platform';
import { CliError, systemCode } from '../cli-error.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';

/** Where the API is and how to be let in. */
export interface ServerAddress {
  /** Base address without a slash at its end, as `http://127.0.0.1:8082`. */
  readonly url: string;
  readonly token: string | undefined;
  /** Where address and token were found, for the cure of an error. */
  readonly foundIn: string;
}

export interface HttpRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly json?: unknown;
  readonly bytes?: { readonly type: string; readonly body: Uint8Array };
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** For a caller that knows that the API comes back: a request that was never taken is made again for so long. */
export interface Patience {
  readonly clock: Clock;
  readonly forMs: number;
}

const patientPauseMs = 200;

/** Requests to the API: adds the token and turns every failure into a `CliError`. */
export class HttpClient {
  readonly address: ServerAddress;
  readonly #fetch: typeof globalThis.fetch;
  readonly #patience: Patience | undefined;

  constructor(address: ServerAddress, fetch: typeof globalThis.fetch, patience?: Patience) {
    this.address = address;
    this.#fetch = fetch;
    this.#patience = patience;
  }

  /**
   * Resolves with an answer whose status is below 400.
   * @throws CliError `unreachable` (exit code 4) or the API's own code.
   */
  async send(path: string, request: HttpRequest = {}): Promise<Response> {
    const response = await this.#sendPatiently(path, request);
    if (response.status >= 400) throw await refusal(response, this.address);
    return response;
  }

  /** The answer's JSON. Its shape is the API's promise, in `views.ts`. */
  async json<Answer>(path: string, request: HttpRequest = {}): Promise<Answer> {
    const response = await this.send(path, request);
    try {
      return (await response.json()) as Answer;
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new CliError('bad_answer', `the API's answer to ${path} is no JSON`, {
        exitCode: exitCodes.allFailed,
        cure: `is ${this.address.url} really Torcello's API?`,
      });
    }
  }

  async #sendPatiently(path: string, request: HttpRequest): Promise<Response> {
    const patience = this.#patience;
    if (patience === undefined) return this.#fetched(path, request);
    const untilMs = patience.clock.monotonicMs() + patience.forMs;
    while (true) {
      try {
        return await this.#fetched(path, request);
      } catch (error) {
        const wasNeverTaken = error instanceof CliError && systemCode(error) === 'ECONNREFUSED';
        if (!wasNeverTaken || patience.clock.monotonicMs() > untilMs) throw error;
      }
      await sleep(patience.clock, patientPauseMs, request.signal);
    }
  }

  async #fetched(path: string, request: HttpRequest): Promise<Response> {
    const { url, token } = this.address;
    const body = request.bytes?.body ?? (request.json === undefined ? undefined : JSON.stringify(request.json));
    const type = request.bytes?.type ?? (request.json === undefined ? undefined : 'application/json');
    try {
      return await this.#fetch(url + path, {
        method: request.method ?? 'GET',
        headers: {
          accept: 'application/json',
          ...(token === undefined ? {} : { 'x-auth-token': token }),
          ...(type === undefined ? {} : { 'content-type': type }),
          ...request.headers,
        },
        ...(body === undefined ? {} : { body }),
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
    } catch (error) {
      if (isAbort(error)) throw error;
      throw unreachable(this.address, error);
    }
  }
}

/** True when a request ended because its signal was aborted. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

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

async function refusal(response: Response, address: ServerAddress): Promise<CliError> {
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
