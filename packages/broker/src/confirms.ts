/** What is known of the batches of the commit log. */
export interface DurableSoFar {
  readonly durableTicket: number;
  /** Whether the publishes of this batch were refused for want of room. */
  isRefused(ticket: number): boolean;
}

/** Publishes that are told of together. */
export interface ConfirmSegment {
  /** Batch of the commit log that makes them safe; 0 when nothing of them goes to disk. */
  readonly ticket: number;
  /** They only wait for those before them: nothing of their own goes to disk. */
  readonly isWaiting: boolean;
  readonly isRefused: boolean;
  /** Number of the last publish in it. */
  upTo: number;
}

/**
 * The publishes of one channel in confirm mode that nobody was told about yet. They are told in order, so neighbours
 * share one segment, and a hundred publishes of one commit become one `basic.ack` with `multiple`.
 */
export class Confirms {
  #published = 0;
  #told = 0;
  readonly #segments: ConfirmSegment[] = [];

  /** Number of the last publish, counting from 1. */
  get published(): number {
    return this.#published;
  }

  /** Publishes that nobody was told about yet. */
  get waiting(): number {
    return this.#published - this.#told;
  }

  /** Counts a publish. True when its ticket is a new one to wait for. */
  add(ticket: number, isRefused = false): boolean {
    const upTo = ++this.#published;
    const last = this.#segments.at(-1);
    const needed = Math.max(ticket, last?.ticket ?? 0);
    const isWaiting = ticket === 0;
    const isSame = last?.ticket === needed && last.isRefused === isRefused && last.isWaiting === isWaiting;
    if (last !== undefined && isSame) last.upTo = upTo;
    else this.#segments.push({ ticket: needed, isWaiting, isRefused, upTo });
    return last === undefined || last.ticket < needed;
  }

  /** Hands over what can be told now: the number of the last publish, and whether it stands for several. */
  drain(log: DurableSoFar, tell: (upTo: number, multiple: boolean, isRefused: boolean) => void): void {
    let count = 0;
    let last: { upTo: number; isRefused: boolean } | undefined;
    const tellLast = (): void => {
      if (last === undefined) return;
      tell(last.upTo, last.upTo > this.#told + 1, last.isRefused);
      this.#told = last.upTo;
    };
    for (const { ticket, isWaiting, isRefused: wasRefused, upTo } of this.#segments) {
      const isWithdrawn = log.isRefused(ticket);
      if (ticket > log.durableTicket && !isWithdrawn) break;
      const isRefused = wasRefused || (isWithdrawn && !isWaiting);
      if (last !== undefined && last.isRefused !== isRefused) tellLast();
      last = { upTo, isRefused };
      count++;
    }
    tellLast();
    if (count > 0) this.#segments.splice(0, count);
  }
}
