import { hexId, sleep, type Clock, type Random } from '@torcello/platform';
import { CliError, systemCode } from '../cli-error.js';
import { exitCodes } from '../exit-codes.js';
import { refusal, unreachable } from './refusal.js';
import { retryAfterMs } from './retry-after.js';

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

/** What requests are made with. */
export interface HttpWorld {
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  /** For the keys of writes. */
  readonly random: Random;
  /** For a caller that knows that the API comes back: a request that was never taken is made again for so long. */
  readonly patienceMs?: number;
  /** Told why a request waits. */
  readonly note?: (text: string) => void;
}

const patientPauseMs = 200;
/** An API that is too busy (503 with `Retry-After`) is asked again for so long altogether. */
const busyMsMax = 60_000;

/**
 * Requests to the API: adds the token and turns every failure into a `CliError`. Every write carries an
 * `Idempotency-Key`, the same one when it is made again, so that it is done once.
 */
export class HttpClient {
  readonly address: ServerAddress;
  readonly #world: HttpWorld;

  constructor(address: ServerAddress, world: HttpWorld) {
    this.address = address;
    this.#world = world;
  }

  /**
   * Resolves with an answer whose status is below 400. An answer 503 that says when to come back is taken at its word.
   * @throws CliError `unreachable` (exit code 4) or the API's own code.
   */
  async send(path: string, request: HttpRequest = {}): Promise<Response> {
    const { clock, random } = this.#world;
    const isWrite = request.method !== undefined && request.method !== 'GET';
    const headers = isWrite ? { 'idempotency-key': hexId(random), ...request.headers } : request.headers;
    const keyed = headers === undefined ? request : { ...request, headers };
    const untilMs = clock.monotonicMs() + busyMsMax;
    while (true) {
      const response = await this.#sendPatiently(path, keyed);
      if (response.status < 400) return response;
      const error = await refusal(response, this.address);
      const pauseMs = retryAfterMs(response, clock.now());
      if (pauseMs === undefined || clock.monotonicMs() + pauseMs > untilMs) throw error;
      this.#world.note?.(`${error.message}; asking again in ${Math.ceil(pauseMs / 1_000)} s`);
      await sleep(clock, pauseMs, request.signal);
    }
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
    const { clock, patienceMs } = this.#world;
    if (patienceMs === undefined) return this.#fetched(path, request);
    const untilMs = clock.monotonicMs() + patienceMs;
    while (true) {
      try {
        return await this.#fetched(path, request);
      } catch (error) {
        const wasNeverTaken = error instanceof CliError && systemCode(error) === 'ECONNREFUSED';
        if (!wasNeverTaken || clock.monotonicMs() > untilMs) throw error;
      }
      await sleep(clock, patientPauseMs, request.signal);
    }
  }

  async #fetched(path: string, request: HttpRequest): Promise<Response> {
    const { url, token } = this.address;
    const body = request.bytes?.body ?? (request.json === undefined ? undefined : JSON.stringify(request.json));
    const type = request.bytes?.type ?? (request.json === undefined ? undefined : 'application/json');
    try {
      return await this.#world.fetch(url + path, {
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
