import type { Clock, Logger, Timer } from '@torcello/platform';
import type { BrokerLimits } from './limits.js';

/** What the alarms look at. */
export interface Resources {
  /** Free space for the data folder, in bytes; undefined when there is no folder. */
  diskFreeBytes(): Promise<number | undefined>;
  /** Resident memory of the process, in bytes. */
  memoryBytes(): number;
}

/**
 * Watches free space and memory. Below the reserve publishes are refused, while acknowledgements, which need the reserve,
 * go on.
 */
export class Alarms {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #limits: BrokerLimits;
  readonly #resources: Resources;
  readonly #onChange: (reason: string | undefined) => void;
  #reason: string | undefined;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly limits: BrokerLimits;
    readonly resources: Resources;
    readonly onChange: (reason: string | undefined) => void;
  }) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#limits = options.limits;
    this.#resources = options.resources;
    this.#onChange = options.onChange;
  }

  /** Why publishes are refused now; undefined when they are not. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Looks once, and then again and again until `stop`. */
  async start(): Promise<void> {
    await this.look();
    this.#lookAgain();
  }

  #lookAgain(): void {
    if (this.#isStopped) return;
    this.#timer = this.#clock.after(this.#limits.resourceCheckMs, () => {
      this.look()
        .catch((error: unknown) => this.#logger.error('free space could not be read', { error }))
        .finally(() => this.#lookAgain());
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** Looks now. */
  async look(): Promise<void> {
    const reason = this.#judge(await this.#resources.diskFreeBytes(), this.#resources.memoryBytes());
    if (reason === this.#reason || this.#isStopped) return;
    this.#reason = reason;
    if (reason === undefined) this.#logger.info('publishes are taken again');
    else this.#logger.warn('publishes are refused', { reason });
    this.#onChange(reason);
  }

  #judge(diskFreeBytes: number | undefined, memoryBytes: number): string | undefined {
    const { diskFreeBytesMin, memoryBytesMax } = this.#limits;
    if (diskFreeBytes !== undefined && diskFreeBytes < diskFreeBytesMin) return 'low on disk';
    return memoryBytes > memoryBytesMax ? 'low on memory' : undefined;
  }
}
