import { type TaskHint, tasksMailbox } from '@torcello/contracts';
import { type Delivery, type Subscription, type Transport, mailboxes } from '@torcello/messaging';
import { Background, type Logger, type Service } from '@torcello/platform';
import { announce } from './diagnostics.js';
import type { HintAttempt, HintAttempts } from './hint-attempts.js';
import { conductorLimits } from './limits.js';
import { retryDelayMs } from './retry-delay.js';
import { Wakeup } from './wakeup.js';

/** Work that was taken on. It is over when `done` resolves; it never rejects. */
export interface TakenWork {
  readonly done: Promise<void>;
}

/** The API takes no longer ids. */
const idCharsMax = 64;

export interface HintsOptions {
  readonly transport: Transport;
  readonly logger: Logger;
  readonly attempts: HintAttempts;
  /** So many deployments at once. */
  readonly deploymentsMax: number;
  /** Tries to get hold of the deployment; undefined when it is nothing for this conductor (now). */
  readonly take: (deploymentId: string, signal: AbortSignal) => Promise<TakenWork | undefined>;
}

/**
 * Reads the mailbox `tasks`. A hint is held only while the claim is on its way: then it is settled, whoever got the
 * deployment. One that cannot be read is tried five times and ends as a dead letter.
 * There is room for as many hints as for deployments; without room nothing is consumed.
 */
export class Hints implements Service {
  readonly #options: HintsOptions;
  readonly #background: Background;
  #subscription: Subscription | undefined;
  #stopping = new AbortController();
  #claiming = 0;
  #working = 0;
  #failures = 0;
  /** Hints that wait for a claim to come to an end. */
  readonly #waiting: (() => void)[] = [];
  #adjusting: Promise<void> = Promise.resolve();
  /** The last hint that came again; the next of them follows it. */
  #suspect: Promise<void> = Promise.resolve();

  constructor(options: HintsOptions) {
    this.#options = options;
    this.#background = new Background((what, error) => options.logger.error('a hint failed', { what, error }));
  }

  /** @throws MessagingError when the mailbox exists with other properties, or may not be read. */
  async start(): Promise<void> {
    this.#stopping = new AbortController();
    const starting = this.#consume();
    // A stop that comes meanwhile has to follow it, or it would stop nothing.
    this.#adjusting = starting.catch(() => undefined);
    await starting;
  }

  /** Takes no more, gives back what was not claimed yet, and waits for the work that was taken on: its owner ends it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await this.#adjust();
    await this.#background.settled();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Consumes as much as there is room for; changes follow each other. Never rejects. */
  #adjust(): Promise<void> {
    this.#adjusting = this.#adjusting.then(async () => {
      try {
        await this.#consume();
        this.#failures = 0;
      } catch (error) {
        this.#tryLater(error);
      }
    });
    return this.#adjusting;
  }

  async #consume(): Promise<void> {
    const { transport, deploymentsMax } = this.#options;
    const room = this.#stopping.signal.aborted ? 0 : deploymentsMax - this.#working;
    if (room <= 0) {
      await this.#subscription?.stop();
      this.#subscription = undefined;
    } else if (this.#subscription === undefined) {
      // Declared by both sides: a deployment may be accepted before a conductor ever ran, and the other way round.
      await mailboxes(transport).open(tasksMailbox, { isRestored: true });
      const onDelivery = (delivery: Delivery): void => this.#background.run('hint', () => this.#take(delivery));
      this.#subscription = await transport.consume({ queue: tasksMailbox }, { credit: room, onDelivery });
      this.#watch(this.#subscription);
    } else {
      this.#subscription.setCredit(room);
    }
  }

  #tryLater(error: unknown): void {
    const { transport, logger } = this.#options;
    const { signal } = this.#stopping;
    if (signal.aborted) return;
    this.#failures += 1;
    logger.warn('hints cannot be read, trying again', { error });
    this.#background.run('reading hints again', async () => {
      await new Wakeup().wait(transport.clock, retryDelayMs(this.#failures, transport.random), signal);
      await this.#adjust();
    });
  }

  /** A subscription that could not be restored is made again, mailbox included. */
  #watch(subscription: Subscription): void {
    this.#background.run('watching hints', async () => {
      const error = await subscription.ended;
      if (error === undefined || this.#subscription !== subscription) return;
      this.#options.logger.warn('the mailbox of hints was lost', { error });
      this.#subscription = undefined;
      await this.#adjust();
    });
  }

  async #take(delivery: Delivery): Promise<void> {
    const { signal } = this.#stopping;
    if (signal.aborted || this.#working >= this.#options.deploymentsMax) {
      await this.#giveBack(delivery);
    } else if (this.#working + this.#claiming >= this.#options.deploymentsMax) {
      // Hints whose claims are on their way come again after a reconnect. Given back they would go round in circles.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
      await this.#take(delivery);
    } else {
      this.#claiming += 1;
      try {
        await this.#attempt(delivery);
      } finally {
        this.#claiming -= 1;
        this.#wake();
      }
    }
  }

  /**
   * What somebody may have died of before is counted before it is read, and there is one such hint at a time: others would
   * be counted for its sake.
   */
  #attempt(delivery: Delivery): Promise<void> {
    if (!delivery.redelivered) return this.#try(delivery);
    const attempt = this.#suspect.then(() => this.#try(delivery));
    this.#suspect = attempt.catch(() => undefined);
    return attempt;
  }

  async #try(delivery: Delivery): Promise<void> {
    const { signal } = this.#stopping;
    let attempt: HintAttempt | undefined;
    try {
      attempt = await this.#options.attempts.begin(delivery, signal);
      if (attempt.isBuried) return void delivery.accept();
      announce('reading', '');
      const hint = readHint(delivery.message.body);
      if ('flaw' in hint) await this.#fail(delivery, attempt, hint.flaw);
      else await this.#claim(delivery, attempt, hint.deploymentId);
    } catch (error) {
      if (!signal.aborted) throw error;
      await attempt?.givenBack();
      await this.#giveBack(delivery);
    }
  }

  async #fail(delivery: Delivery, attempt: HintAttempt, flaw: string): Promise<void> {
    const { length: bytes } = delivery.message.body;
    if (await attempt.failed(flaw)) {
      this.#options.logger.error('a hint cannot be read and was put aside', { flaw, bytes });
      delivery.accept();
    } else delivery.release();
  }

  async #claim(delivery: Delivery, attempt: HintAttempt, deploymentId: string): Promise<void> {
    const { signal } = this.#stopping;
    try {
      const work = await this.#options.take(deploymentId, signal);
      // Less is asked for before this one is settled, so that no other comes in its place.
      if (work !== undefined) await this.#begin(work);
    } catch (error) {
      if (signal.aborted) throw error;
      // Given back it would come again at once; the API's sweeper hints again in its own time.
      delivery.accept();
      await attempt.succeeded();
      throw error;
    }
    delivery.accept();
    await attempt.succeeded();
  }

  /** Only when nothing is consumed beyond the room there is: else it would come straight back. */
  async #giveBack(delivery: Delivery): Promise<void> {
    await this.#adjust();
    delivery.release();
  }

  #begin(work: TakenWork): Promise<void> {
    this.#working += 1;
    this.#background.run('work', async () => {
      await work.done;
      this.#working -= 1;
      await this.#adjust();
    });
    return this.#adjust();
  }
}

function readHint(body: Uint8Array): { readonly deploymentId: string } | { readonly flaw: string } {
  if (body.length > conductorLimits.hintBytesMax.value) return { flaw: 'too_large' };
  const hint = parsed(body);
  if (hint === undefined) return { flaw: 'not_json' };
  const { deploymentId } = (hint ?? {}) as Partial<TaskHint>;
  const isId = typeof deploymentId === 'string' && deploymentId !== '' && deploymentId.length <= idCharsMax;
  return isId ? { deploymentId } : { flaw: 'schema' };
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as unknown;
  } catch {
    return undefined;
  }
}
