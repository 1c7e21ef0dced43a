import type { ProgressMessage } from '@torcello/contracts/agent';
import { Background, type Clock, type Logger } from '@torcello/platform';
import { agentLimits } from './limits.js';
import type { StepPlace } from './step-runner.js';
import type { Uplink } from './uplink.js';

const publishTimeoutMs = 30_000;

/**
 * Tells how plans get on, as far as the broker is there to be told: the result says everything again. The sequence
 * follows from the place in the plan, so that it is the same when an agent that came back says it again.
 */
export class ProgressSender {
  readonly #clock: Clock;
  readonly #uplink: Uplink;
  readonly #background: Background;
  #waiting = 0;

  constructor(options: { readonly clock: Clock; readonly logger: Logger; readonly uplink: Uplink }) {
    this.#clock = options.clock;
    this.#uplink = options.uplink;
    this.#background = new Background((what, error) => options.logger.debug('progress was not told', { what, error }));
  }

  received(plan: { readonly deploymentId: string; readonly planId: string }): void {
    const { deploymentId, planId } = plan;
    this.#send({ deploymentId, planId, sequence: 0, what: 'received', atMs: this.#clock.now() });
  }

  step(what: 'stepStarted' | 'stepEnded', place: StepPlace, exitCode?: number | null): void {
    const { payload, index, step } = place;
    const { deploymentId, planId } = payload;
    const sequence = 1 + 2 * index + (what === 'stepEnded' ? 1 : 0);
    const message = { deploymentId, planId, sequence, what, step: step.name, atMs: this.#clock.now() } as const;
    this.#send(exitCode === undefined ? message : { ...message, exitCode });
  }

  /** Resolves when nothing is on its way. */
  settled(): Promise<void> {
    return this.#background.settled();
  }

  #send(message: ProgressMessage): void {
    if (this.#waiting >= agentLimits.progressWaitingMax.value) return;
    this.#waiting += 1;
    const id = `${message.planId}.progress.${message.sequence}`;
    this.#background.run(message.what, async () => {
      try {
        await this.#uplink({ kind: 'progress', id, body: message, timeoutMs: publishTimeoutMs });
      } finally {
        this.#waiting -= 1;
      }
    });
  }
}
