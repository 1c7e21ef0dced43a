import type { AgentNotice } from '@torcello/contracts/agent';
import type { Clock } from '@torcello/platform';

/** Things that went wrong and belong to no plan; every heartbeat tells the newest of each kind. */
export class Notices {
  readonly #clock: Clock;
  readonly #byCode = new Map<AgentNotice['code'], AgentNotice>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(code: AgentNotice['code'], detail: string): void {
    const count = (this.#byCode.get(code)?.count ?? 0) + 1;
    this.#byCode.set(code, { code, detail, count, lastAtMs: this.#clock.now() });
  }

  all(): readonly AgentNotice[] {
    return [...this.#byCode.values()];
  }
}
