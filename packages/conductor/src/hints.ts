import { type TaskHint, tasksMailbox } from '@torcello/contracts';
import { type Delivery, type Subscription, type Transport, mailboxes } from '@torcello/messaging';
import { Background, type Logger, type Service } from '@torcello/platform';
import { retryDelayMs } from './retry-delay.js';
import { Wakeup } from './wakeup.js';

/** Work that was taken on. It is over when `done` resolves; it never rejects. */
export interface TakenWork {
  readonly done: Promise<void>;
}

export interface HintsOptions {
  readonly transport: Transport;
  readonly logger: Logger;
  /** So many deployments at once. */
  readonly deploymentsMax: number;
  /** Tries to get hold of the deployment; undefined when it is nothing for this conductor (now). */
  readonly take: (deploymentId: string, signal: AbortSignal) => Promise<TakenWork | undefined>;
}

/**
 * Reads the mailbox `tasks`. A hint is held only while the claim is on its way: then it is settled, whoever got the
 * deployment. There is room for as many hints as for deployments; without room nothing is consumed.
 */
export class Hints implements Service {
  readonly #options: HintsOptions;
  readonly #background: Background;
  readonly #changed = new Wakeup();
  #subscription: Subscription | undefined;
  #stopping = new AbortController();
  #claiming = 0;
  #working = 0;
  #keeping: Promise<void> = Promise.resolve();

  constructor(options: HintsOptions) {
    this.#options = options;
    this.#background = new Background((what, error) => options.logger.error('a hint failed', { what, error }));
  }

  /** Deployments worked on now. */
  get working(): number {
    return this.#working;
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController();
    await this.#consume();
    this.#keeping = this.#keepConsuming();
  }

  /** Takes no more, gives back what was not claimed yet, and waits for the work that was taken on: its owner ends it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#keeping;
    await this.#subscription?.stop();
    this.#subscription = undefined;
    await this.#background.settled();
  }

  async #keepConsuming(): Promise<void> {
    const { transport, logger } = this.#options;
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      await this.#changed.wait(
        transport.clock,
        failures === 0 ? Number.POSITIVE_INFINITY : retryDelayMs(failures, transport.random),
        signal,
      );
      try {
        if (!signal.aborted) await this.#consume();
        failures = 0;
      } catch (error) {
        failures += 1;
        logger.warn('hints cannot be read, trying again', { error });
      }
    }
  }

  /** Consumes exactly as much as there is room for. */
  async #consume(): Promise<void> {
    const { transport, deploymentsMax } = this.#options;
    const room = deploymentsMax - this.#working;
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

  /** A subscription that could not be restored is made again, mailbox included. */
  #watch(subscription: Subscription): void {
    this.#background.run('watching hints', async () => {
      const error = await subscription.ended;
      if (error === undefined || this.#subscription !== subscription) return;
      this.#options.logger.warn('the mailbox of hints was lost', { error });
      this.#subscription = undefined;
      this.#changed.ring();
    });
  }

  async #take(delivery: Delivery): Promise<void> {
    const deploymentId = readHint(delivery.message.body);
    if (deploymentId === undefined) {
      this.#options.logger.error('a hint is unreadable', { bytes: delivery.message.body.length });
      delivery.reject();
      return;
    }
    const { signal } = this.#stopping;
    if (signal.aborted || this.#working + this.#claiming >= this.#options.deploymentsMax) {
      delivery.release();
      return;
    }
    this.#claiming += 1;
    try {
      const work = await this.#options.take(deploymentId, signal);
      if (work !== undefined) this.#begin(work);
      delivery.accept();
    } catch (error) {
      // Whoever comes next may have more luck; with none at all the API's sweeper hints again.
      delivery.release();
      if (!signal.aborted) throw error;
    } finally {
      this.#claiming -= 1;
    }
  }

  #begin(work: TakenWork): void {
    this.#working += 1;
    this.#changed.ring();
    this.#background.run('work', async () => {
      await work.done;
      this.#working -= 1;
      this.#changed.ring();
    });
  }
}

function readHint(body: Uint8Array): string | undefined {
  try {
    const { deploymentId } = JSON.parse(new TextDecoder().decode(body)) as Partial<TaskHint>;
    return typeof deploymentId === 'string' ? deploymentId : undefined;
  } catch {
    return undefined;
  }
}
