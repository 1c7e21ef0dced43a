import type { Clock } from '@torcello/platform';
import { isoTime } from '../times.js';

export type AgentState = 'online' | 'unknown' | 'lost' | 'never joined';

export interface PresenceEvidence {
  /** The last sign of life. */
  readonly at: string;
  /** Without another one the agent is `unknown` from then on. */
  readonly becomesUnknownAt: string;
}

export interface PresenceOptions {
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** After so many missed heartbeats an agent is `unknown`. */
  readonly unknownAfterMissed: number;
  /** After so many it is `lost`. Both are only displays. */
  readonly lostAfterMissed: number;
}

/** A heartbeat may be late by so much of an interval before it counts as missed. */
const lateness = 0.5;

/**
 * Judges silence. It counts only while we could have heard something: while the API ran and the broker link was up.
 */
export class Presence {
  readonly #clock: Clock;
  readonly #unknownAfterMs: number;
  readonly #lostAfterMs: number;
  #linkUpSinceMs: number | undefined;
  #linkDownSinceMs: number;

  constructor({ clock, heartbeatMs, unknownAfterMissed, lostAfterMissed }: PresenceOptions) {
    this.#clock = clock;
    this.#unknownAfterMs = (unknownAfterMissed + lateness) * heartbeatMs;
    this.#lostAfterMs = (lostAfterMissed + lateness) * heartbeatMs;
    this.#linkDownSinceMs = clock.now();
  }

  /** Of silence, while we listen, until an agent is shown as lost. */
  get lostAfterMs(): number {
    return this.#lostAfterMs;
  }

  linkIsUp(): void {
    this.#linkUpSinceMs ??= this.#clock.now();
  }

  linkIsDown(): void {
    if (this.#linkUpSinceMs !== undefined) this.#linkDownSinceMs = this.#clock.now();
    this.#linkUpSinceMs = undefined;
  }

  /** Since when the broker is unreachable; undefined while it is reached. */
  get linkDownSinceMs(): number | undefined {
    return this.#linkUpSinceMs === undefined ? this.#linkDownSinceMs : undefined;
  }

  /** Whether we have listened without interruption since an instant: only then does having heard nothing say anything. */
  hasListenedSince(atMs: number): boolean {
    return this.#linkUpSinceMs !== undefined && this.#linkUpSinceMs <= atMs;
  }

  judge(agent: { readonly joinedAtMs: number | null; readonly lastHeartbeatAtMs: number | null }): {
    readonly state: AgentState;
    readonly evidence?: PresenceEvidence;
  } {
    if (agent.joinedAtMs === null) return { state: 'never joined' };
    const lastMs = Math.max(agent.lastHeartbeatAtMs ?? 0, agent.joinedAtMs);
    const heardFromMs = Math.max(lastMs, this.#linkUpSinceMs ?? this.#clock.now());
    const silentMs = this.#clock.now() - heardFromMs;
    const evidence = { at: isoTime(lastMs), becomesUnknownAt: isoTime(heardFromMs + this.#unknownAfterMs) };
    if (silentMs >= this.#lostAfterMs) return { state: 'lost', evidence };
    const isFresh = silentMs < this.#unknownAfterMs && this.#linkUpSinceMs !== undefined;
    return { state: isFresh ? 'online' : 'unknown', evidence };
  }
}
