import type { Clock } from '@torcello/platform';
import { isoTime } from '../times.js';

/** After so many intervals without a heartbeat an agent is `unknown`, after more of them `lost`. Both only displays. */
const unknownAfterIntervals = 3;
const lostAfterIntervals = 30;

export type AgentState = 'online' | 'unknown' | 'lost' | 'never joined';

export interface PresenceEvidence {
  /** The last sign of life. */
  readonly at: string;
  /** Without another one the agent is `unknown` from then on. */
  readonly becomesUnknownAt: string;
}

/**
 * Judges silence. It counts only while we could have heard something: while the API ran and the broker link was up.
 */
export class Presence {
  readonly #clock: Clock;
  readonly #heartbeatMs: number;
  #linkUpSinceMs: number | undefined;

  constructor(clock: Clock, heartbeatMs: number) {
    this.#clock = clock;
    this.#heartbeatMs = heartbeatMs;
  }

  linkIsUp(): void {
    this.#linkUpSinceMs ??= this.#clock.now();
  }

  linkIsDown(): void {
    this.#linkUpSinceMs = undefined;
  }

  judge(agent: { readonly joinedAtMs: number | null; readonly lastHeartbeatAtMs: number | null }): {
    readonly state: AgentState;
    readonly evidence?: PresenceEvidence;
  } {
    if (agent.joinedAtMs === null) return { state: 'never joined' };
    const lastMs = Math.max(agent.lastHeartbeatAtMs ?? 0, agent.joinedAtMs);
    const heardFromMs = Math.max(lastMs, this.#linkUpSinceMs ?? this.#clock.now());
    const silentMs = this.#clock.now() - heardFromMs;
    const evidence = {
      at: isoTime(lastMs),
      becomesUnknownAt: isoTime(heardFromMs + unknownAfterIntervals * this.#heartbeatMs),
    };
    if (silentMs >= lostAfterIntervals * this.#heartbeatMs) return { state: 'lost', evidence };
    const isFresh = silentMs < unknownAfterIntervals * this.#heartbeatMs && this.#linkUpSinceMs !== undefined;
    return { state: isFresh ? 'online' : 'unknown', evidence };
  }
}
