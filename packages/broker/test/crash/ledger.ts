/** What is known of one numbered message. `acked` may come back; `gone` may not. */
type Fate = 'sent' | 'confirmed' | 'acked' | 'gone';

/** What one look at the queue after a crash shows to be wrong. */
export interface Verdict {
  readonly lost: readonly number[];
  readonly invented: readonly string[];
  /** The first two neighbours that came in the wrong order. */
  readonly disorder: string | undefined;
}

/**
 * The truth outside the broker about one queue with one publisher: every number is published once and never used again.
 * An acknowledgement is known to be safe when a publish after it, on the same channel, was confirmed.
 */
export class CrashLedger {
  readonly #fates = new Map<number, Fate>();
  readonly #acks: { readonly number: number; readonly before: number }[] = [];
  #last = 0;
  confirmedCount = 0;

  /** Messages that must be there. */
  get owedCount(): number {
    return [...this.#fates.values()].filter((fate) => fate === 'confirmed').length;
  }

  /** The next number to publish. */
  next(): number {
    this.#fates.set(++this.#last, 'sent');
    return this.#last;
  }

  confirmed(number: number): void {
    this.confirmedCount++;
    if (this.#fates.get(number) === 'sent') this.#fates.set(number, 'confirmed');
    while (this.#acks[0] !== undefined && this.#acks[0].before < number) this.#end(this.#acks.shift()?.number);
  }

  /** The broker refused it, and shall not have it. */
  refused(number: number): void {
    this.#end(number);
  }

  acked(number: number): void {
    this.#fates.set(number, 'acked');
    this.#acks.push({ number, before: this.#last });
  }

  /** Compares everything that a restarted broker has with what must, may and must not be there. */
  judge(found: readonly { readonly number: number; readonly isIntact: boolean }[]): Verdict {
    const invented: string[] = [];
    const there = new Set<number>();
    let disorder: string | undefined;
    let before = 0;
    for (const { number, isIntact } of found) {
      if (!isIntact) invented.push(`${number}: damaged`);
      if (there.has(number)) invented.push(`${number}: there twice`);
      const fate = this.#fates.get(number);
      if (fate === undefined || fate === 'gone') invented.push(`${number}: ${fate ?? 'never published'}`);
      if (number < before) disorder ??= `${number} came after ${before}`;
      before = number;
      there.add(number);
    }
    const lost = [...this.#fates].filter(([number, fate]) => fate === 'confirmed' && !there.has(number));
    this.#settleAfter(there);
    return { lost: lost.map(([number]) => number), invented, disorder };
  }

  /** What the restarted broker has is durable; what it has not can never come back. */
  #settleAfter(there: ReadonlySet<number>): void {
    this.#acks.length = 0;
    for (const number of this.#fates.keys()) {
      if (there.has(number)) this.#fates.set(number, 'confirmed');
      else this.#end(number);
    }
  }

  #end(number: number | undefined): void {
    if (number !== undefined && this.#fates.get(number) !== undefined) this.#fates.set(number, 'gone');
  }
}
