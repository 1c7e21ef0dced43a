import type { Clock, Logger, Timer } from '@torcello/platform';
import type { BrokerLimits } from './limits.js';

/** What the alarms look at. */
export interface Resources {
  /** Free space for the data folder, in bytes; undefined when there is no folder. */
  diskFreeBytes(): Promise<number | undefined>;
  /** Resident memory of the process, in bytes. */
  memoryBytes(): number;
}

const diskReason = 'low on disk';

/**
 * Watches free space and memory. Below the reserve publishes wait, while acknowledgements, which need the reserve,
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
  #writtenBytes = 0;

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

  /** Why publishes wait now; undefined when they do not. */
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

  /** So much was written: enough of it is looked at before the next turn comes. */
  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
    if (this.#writtenBytes < this.#limits.diskFreeBytesMin / 16 + this.#limits.uncommittedBytesMax / 4) return;
    this.#writtenBytes = 0;
    this.look().catch((error: unknown) => this.#logger.error('free space could not be read', { error }));
  }

  /** A write found no room, whatever the figures say. Holds until the next look. */
  diskIsFull(): void {
    this.#change(diskReason);
  }

  /** Looks now. */
  async look(): Promise<void> {
    this.#change(this.#judge(await this.#resources.diskFreeBytes(), this.#resources.memoryBytes()));
  }

  #change(reason: string | undefined): void {
    if (reason === this.#reason || this.#isStopped) return;
    this.#reason = reason;
    if (reason === undefined) this.#logger.info('publishes are taken again');
    else this.#logger.warn('publishes wait', { reason });
    this.#onChange(reason);
  }

  #judge(diskFreeBytes: number | undefined, memoryBytes: number): string | undefined {
    const { diskFreeBytesMin, memoryBytesMax } = this.#limits;
    if (diskFreeBytes !== undefined && diskFreeBytes < diskFreeBytesMin) return diskReason;
    return memoryBytes > memoryBytesMax ? 'low on memory' : undefined;
  }
}
