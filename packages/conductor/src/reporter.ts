import { type Report, reportEventType } from '@torcello/contracts';
import type { Notifier } from '@torcello/messaging';
import { type Clock, type Logger, Background } from '@torcello/platform';

/** Reports on their way; more are dropped, because nothing depends on them. */
const reportsInFlightMax = 100;

/** Lines of progress for people. They are sent in the background, may be lost, and decide nothing. */
export class Reporter {
  readonly #notifier: Notifier;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #background: Background;
  #inFlight = 0;

  constructor(notifier: Notifier, clock: Clock, logger: Logger) {
    this.#notifier = notifier;
    this.#clock = clock;
    this.#logger = logger;
    this.#background = new Background((what, error) => logger.debug('a report was lost', { what, error }));
  }

  tell(deploymentId: string, level: Report['level'], text: string): void {
    const report: Report = { deploymentId, level, text, atMs: this.#clock.now() };
    this.#logger[level](text, { deploymentId });
    if (this.#inFlight >= reportsInFlightMax) return;
    this.#inFlight += 1;
    this.#background.run('report', async () => {
      try {
        await this.#notifier[level](reportEventType, report);
      } finally {
        this.#inFlight -= 1;
      }
    });
  }

  /** Something that mends itself: for the log, and as a warning for people. */
  trouble(deploymentId: string, text: string, error: unknown): void {
    this.#logger.warn(text, { deploymentId, error });
    this.tell(deploymentId, 'warn', text);
  }

  async settled(): Promise<void> {
    await this.#background.settled();
  }
}
