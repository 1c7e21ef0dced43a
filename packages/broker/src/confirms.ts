/** Publishes that are told of together. */
export interface ConfirmSegment {
  /** Batch of the commit log that makes them safe; 0 when nothing of them goes to disk. */
  readonly ticket: number;
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

  /** Counts a publish. True when its ticket is a new one to wait for. */
  add(ticket: number, isRefused = false): boolean {
    const upTo = ++this.#published;
    const last = this.#segments.at(-1);
    const needed = Math.max(ticket, last?.ticket ?? 0);
    if (last !== undefined && last.ticket === needed && last.isRefused === isRefused) last.upTo = upTo;
    else this.#segments.push({ ticket: needed, isRefused, upTo });
    return last === undefined || last.ticket < needed;
  }

  /** Hands over what can be told now: the number of the last publish, and whether it stands for several. */
  drain(durableTicket: number, tell: (upTo: number, multiple: boolean, isRefused: boolean) => void): void {
    let count = 0;
    for (const { ticket, isRefused, upTo } of this.#segments) {
      if (ticket > durableTicket) break;
      tell(upTo, upTo > this.#told + 1, isRefused);
      this.#told = upTo;
      count++;
    }
    if (count > 0) this.#segments.splice(0, count);
  }
}
