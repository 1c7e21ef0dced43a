import { SupervisedChild, type ChildOptions } from './supervised-child.js';
import type { ReadyLine } from './ready-line.js';

/** Child processes that belong together: started one by one, ended in the opposite order. */
export class Supervisor {
  readonly #children: SupervisedChild[] = [];

  /** Starts one more child and resolves with its first ready line. */
  start(options: ChildOptions): Promise<ReadyLine> {
    const child = new SupervisedChild(options);
    this.#children.push(child);
    return child.start();
  }

  /** Resolves when no child runs any more. The last started ends first: whoever needs another ends before it. */
  async stop(): Promise<void> {
    const groups = new Set(this.#children.toReversed().map(({ group }) => group));
    for (const group of groups) {
      await Promise.all(this.#children.filter((child) => child.group === group).map((child) => child.stop()));
    }
  }

  /** Ends all of them at once, without a word. */
  kill(): void {
    for (const child of this.#children) child.kill();
  }
}
