import { type AttemptRequest, type HintMessage, headersText, limits } from '@torcello/contracts';
import type { Delivery } from '@torcello/messaging';
import { type Logger, type Random, hexId } from '@torcello/platform';
import type { DeploymentsClient } from './deployments-client.js';

/** Of a hint that is too large to be kept as a whole. */
const headBytes = 65_536;
/** Of names that came with a hint. */
const nameCharsMax = 1_000;
const headersCharsMax = 65_536;
/** For a word about the end of an attempt. */
const mentionMs = 1_000;

/** One attempt at a hint. The API counts, so that attempts count also where a conductor ends in the middle of one. */
export interface HintAttempt {
  /** Tried often enough: the hint lies with the dead letters and is not to be read. */
  readonly isBuried: boolean;
  /** It cannot be handled. True: that was the last time, and it lies with the dead letters now. */
  failed(reason: string): Promise<boolean>;
  /** It was handled, whatever came of it. */
  succeeded(): Promise<void>;
  /** This attempt was none. */
  givenBack(): Promise<void>;
}

/** Begins attempts at hints. Where the API cannot count, hints are handled all the same. */
export class HintAttempts {
  readonly #parts: { readonly client: DeploymentsClient; readonly random: Random; readonly logger: Logger };

  constructor(parts: { readonly client: DeploymentsClient; readonly random: Random; readonly logger: Logger }) {
    this.#parts = parts;
  }

  /** A hint that nobody can have seen before is not counted until it fails. @throws the signal's reason. */
  async begin(delivery: Delivery, signal: AbortSignal): Promise<HintAttempt> {
    const message = messageOf(delivery);
    const begun = delivery.redelivered ? await this.#insist({ stage: 'begins', message }, signal) : undefined;
    const hasBegun = begun !== undefined;
    const end = async (stage: 'succeeded' | 'givenBack'): Promise<void> => {
      if (hasBegun) await this.#mention({ stage, message });
    };
    return {
      isBuried: begun === true,
      failed: async (reason) =>
        // A hint is only a hint: where nobody counts, it goes, and the API hints again in its own time.
        (await this.#insist({ stage: 'failed', hasBegun, reason, message }, signal)) ?? true,
      succeeded: () => end('succeeded'),
      givenBack: () => end('givenBack'),
    };
  }

  async #insist(request: Omit<AttemptRequest, 'nonce'>, signal: AbortSignal): Promise<boolean | undefined> {
    const { client, random } = this.#parts;
    try {
      return (await client.attempt({ ...request, nonce: hexId(random) }, signal)).isBuried;
    } catch (error) {
      signal.throwIfAborted();
      this.#complain(request, error);
      return undefined;
    }
  }

  /** Once: what the API does not hear of it forgets by itself. */
  async #mention(request: Omit<AttemptRequest, 'nonce'>): Promise<void> {
    const { client, random } = this.#parts;
    try {
      await client.attemptOnce({ ...request, nonce: hexId(random) }, mentionMs);
    } catch (error) {
      this.#complain(request, error);
    }
  }

  #complain({ stage, reason, message }: Omit<AttemptRequest, 'nonce'>, error: unknown): void {
    const { bytes } = message;
    this.#parts.logger.error('an attempt at a hint could not be counted', { stage, reason, bytes, error });
  }
}

function messageOf({ message, destination }: Delivery): HintMessage {
  const { body, properties } = message;
  const { messageId, contentType } = properties;
  const kept = body.length <= limits.agentMessageBytesMax.value ? body : body.subarray(0, headBytes);
  const headers = headersText(message.headers);
  return {
    exchange: destination.exchange.slice(0, nameCharsMax),
    routingKey: destination.routingKey.slice(0, nameCharsMax),
    ...(messageId === undefined ? {} : { messageId: messageId.slice(0, nameCharsMax) }),
    ...(contentType === undefined ? {} : { contentType: contentType.slice(0, nameCharsMax) }),
    headers: headers.length <= headersCharsMax ? headers : '{}',
    body: Buffer.from(kept).toString('base64'),
    bytes: body.length,
  };
}
