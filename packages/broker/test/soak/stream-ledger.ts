/** Marks of one numbered message. */
const marks = { sent: 1, confirmed: 2, acked: 4, gone: 8, seen: 16, held: 32, unsure: 64 } as const;
const growth = 65_536;

/** The truth outside the broker about one queue with one publisher: every number is published once. */
export class StreamLedger {
  readonly name: string;
  #marks = new Uint8Array(growth);
  #last = 0;
  /** Everything below is gone. */
  #lowest = 1;
  confirmedCount = 0;
  deliveredCount = 0;

  constructor(name: string) {
    this.name = name;
  }

  next(): number {
    const number = ++this.#last;
    if (number >= this.#marks.length) {
      const grown = new Uint8Array(this.#marks.length * 2);
      grown.set(this.#marks);
      this.#marks = grown;
    }
    this.#marks[number] = marks.sent;
    return number;
  }

  confirmed(number: number): void {
    this.confirmedCount++;
    this.#add(number, marks.confirmed);
  }

  /** The broker has not taken it. */
  refused(number: number): void {
    this.#add(number, marks.gone);
  }

  /** What is wrong with this delivery; undefined when nothing is. */
  delivered(number: number, isRedelivered: boolean): string | undefined {
    this.deliveredCount++;
    const known = this.#marks[number] ?? 0;
    this.#remove(number, marks.unsure);
    this.#add(number, marks.seen | marks.held);
    if (known === 0) return `${this.name} ${number} was never published`;
    if ((known & marks.gone) !== 0) return `${this.name} ${number} came after its end`;
    if ((known & marks.acked) !== 0) return `${this.name} ${number} came after its acknowledgement`;
    if ((known & marks.held) !== 0) return `${this.name} ${number} is with two readers`;
    if ((known & marks.seen) !== 0 && !isRedelivered) return `${this.name} ${number} came again without the mark`;
    return undefined;
  }

  acked(number: number): void {
    this.#remove(number, marks.held);
    this.#add(number, marks.acked);
  }

  givenBack(number: number): void {
    this.#remove(number, marks.held);
  }

  /** The broker went down: what it was told last may not have reached its disk. */
  brokerEnded(): void {
    for (let number = this.#lowest; number <= this.#last; number++) {
      const known = this.#marks[number] ?? 0;
      if ((known & marks.acked) !== 0) this.mayComeBack(number);
      else this.givenBack(number);
    }
  }

  /** Who acknowledged it went away without a word: it may come back. */
  mayComeBack(number: number): void {
    this.#remove(number, marks.held | marks.acked);
    this.#add(number, marks.unsure);
  }

  /** The queue was drained, and that is durable: what must have come has come, and nothing comes back. Gives what was lost. */
  settle(): number[] {
    const lost: number[] = [];
    for (let number = this.#lowest; number <= this.#last; number++) {
      const known = this.#marks[number] ?? 0;
      const mustBeThere = (known & marks.confirmed) !== 0 && (known & (marks.acked | marks.gone | marks.unsure)) === 0;
      if (mustBeThere) lost.push(number);
      this.#marks[number] = marks.gone;
    }
    this.#lowest = this.#last + 1;
    return lost;
  }

  #add(number: number, mark: number): void {
    this.#marks[number] = (this.#marks[number] ?? 0) | mark;
  }

  #remove(number: number, mark: number): void {
    this.#marks[number] = (this.#marks[number] ?? 0) & ~mark;
  }
}
