import { tasksMailbox } from '@torcello/contracts';
import type { AttemptAnswer, AttemptRequest, HintMessage } from '@torcello/contracts';
import type { Context } from '../context.js';
import { Attempts } from './attempts.js';
import type { Tried } from './fingerprint.js';

/** Answers that are kept, in case their request comes again. */
const answersMax = 1_000;

/** Counts the attempts of conductors at the hints in their mailbox, and puts aside what they cannot handle. */
export class HintAttempts {
  readonly #context: Context;
  readonly #attempts: Attempts;
  readonly #answers = new Map<string, Promise<AttemptAnswer>>();

  constructor(context: Context) {
    this.#context = context;
    this.#attempts = new Attempts(context, tasksMailbox, 'the conductor');
  }

  /** The same nonce again answers as before, as long as this process lives, and counts once. */
  attempt(request: AttemptRequest): Promise<AttemptAnswer> {
    const known = this.#answers.get(request.nonce);
    if (known !== undefined) return known;
    const answer = this.#take(request);
    this.#answers.set(request.nonce, answer);
    answer.catch(() => this.#answers.delete(request.nonce));
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > answersMax && oldest !== undefined) this.#answers.delete(oldest);
    return answer;
  }

  async #take({
    stage,
    message,
    hasBegun = false,
    reason = 'it cannot be read',
  }: AttemptRequest): Promise<AttemptAnswer> {
    const delivery = triedOf(message);
    if (stage === 'begins') return { isBuried: (await this.#attempts.begin([delivery])).size > 0 };
    if (stage === 'givenBack') await this.#attempts.takeBack(delivery);
    if (stage === 'succeeded') await this.#context.store.write((work) => this.#attempts.succeeded(work, delivery));
    if (stage !== 'failed') return { isBuried: false };
    const attempt = { delivery, reason, wasCounted: hasBegun };
    return { isBuried: await this.#context.store.write((work) => this.#attempts.failed(work, attempt)) };
  }
}

function triedOf({ exchange, routingKey, messageId, contentType, headers, body, bytes }: HintMessage): Tried {
  return {
    destination: { exchange, routingKey },
    message: {
      body: Buffer.from(body, 'base64'),
      headers: headersOf(headers),
      properties: {
        ...(messageId === undefined ? {} : { messageId }),
        ...(contentType === undefined ? {} : { contentType }),
      },
    },
    bytes,
  };
}

function headersOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const headers: unknown = JSON.parse(text);
    return typeof headers === 'object' && headers !== null ? { ...headers } : {};
  } catch {
    return {};
  }
}
