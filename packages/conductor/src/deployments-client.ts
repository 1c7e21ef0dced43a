import type {
  AppendAnswer,
  AppendRequest,
  AttemptAnswer,
  AttemptRequest,
  ClaimAnswer,
  ClaimRequest,
  LetterAnswer,
  LetterRequest,
  LoadAnswer,
  LoadRequest,
  ReleaseAnswer,
  ReleaseRequest,
  RenewAnswer,
  RenewRequest,
} from '@torcello/contracts';
import { type RpcClient, isMessagingError } from '@torcello/messaging';
import { type Clock, type Logger, type Random, sleep } from '@torcello/platform';
import { retryDelayMs } from './retry-delay.js';

/** An answer, and when the request that it answers was sent (monotonic): no lease began earlier. */
export interface Answered<T> {
  readonly answer: T;
  readonly sentAtMs: number;
  /** How often it was sent before; an earlier request may have been the one that counted. */
  readonly earlierTries: number;
}

export interface DeploymentsClientOptions {
  readonly rpc: RpcClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** For one try. Default 10 s. */
  readonly callTimeoutMs?: number;
}

const callTimeoutMsDefault = 10_000;
/** The API answers, and every time with an error of its own: trying on would hold the deployment for nothing. */
const remoteErrorsMax = 8;

/**
 * The conductor's view of the API. Every request may safely be made again, so a lost answer, an absent API or broker
 * only mean: again, with growing waits, until the signal ends it.
 */
export class DeploymentsClient {
  readonly #options: DeploymentsClientOptions;

  constructor(options: DeploymentsClientOptions) {
    this.#options = options;
  }

  claim(request: ClaimRequest, signal: AbortSignal): Promise<Answered<ClaimAnswer>> {
    return this.#insist('claim', request, signal);
  }

  async load(request: LoadRequest, signal: AbortSignal): Promise<LoadAnswer> {
    return (await this.#insist<LoadAnswer>('load', request, signal)).answer;
  }

  async append(request: AppendRequest, signal: AbortSignal): Promise<AppendAnswer> {
    return (await this.#insist<AppendAnswer>('append', request, signal)).answer;
  }

  async letter(request: LetterRequest, signal: AbortSignal): Promise<LetterAnswer> {
    return (await this.#insist<LetterAnswer>('letter', request, signal)).answer;
  }

  async release(request: ReleaseRequest, signal: AbortSignal): Promise<ReleaseAnswer> {
    return (await this.#insist<ReleaseAnswer>('release', request, signal)).answer;
  }

  async attempt(request: AttemptRequest, signal: AbortSignal): Promise<AttemptAnswer> {
    return (await this.#insist<AttemptAnswer>('attempt', request, signal)).answer;
  }

  async attemptOnce(request: AttemptRequest, timeoutMs: number): Promise<void> {
    await this.#options.rpc.call<AttemptAnswer>('attempt', { ...request }, { timeoutMs });
  }

  /** One try: whoever renews has a rhythm of its own. */
  async renew(request: RenewRequest, timeoutMs: number, signal: AbortSignal): Promise<Answered<RenewAnswer>> {
    const sentAtMs = this.#options.clock.monotonicMs();
    const answer = await this.#options.rpc.call<RenewAnswer>('renew', { ...request }, { timeoutMs, signal });
    return { answer, sentAtMs, earlierTries: 0 };
  }

  async #insist<T>(method: string, request: object, signal: AbortSignal): Promise<Answered<T>> {
    const { rpc, clock, random, logger, callTimeoutMs: timeoutMs = callTimeoutMsDefault } = this.#options;
    let remoteErrors = 0;
    for (let earlierTries = 0; ; earlierTries += 1) {
      signal.throwIfAborted();
      const sentAtMs = clock.monotonicMs();
      try {
        return { answer: await rpc.call<T>(method, { ...request }, { timeoutMs, signal }), sentAtMs, earlierTries };
      } catch (error) {
        signal.throwIfAborted();
        remoteErrors = isMessagingError(error, 'REMOTE_ERROR') ? remoteErrors + 1 : 0;
        if (remoteErrors >= remoteErrorsMax || !isWorthRetrying(error)) throw error;
        logger.warn('the API did not answer, trying again', { method, tries: earlierTries + 1, error });
      }
      await sleep(clock, retryDelayMs(earlierTries + 1, random), signal);
    }
  }
}

function isWorthRetrying(error: unknown): boolean {
  return isMessagingError(error) && (error.retryable || error.code === 'REMOTE_ERROR');
}
