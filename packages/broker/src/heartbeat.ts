import type { Clock, Timer } from '@torcello/platform';

/** What a heartbeat watches and does. */
export interface HeartbeatPeer {
  /** Instants on the monotonic clock of the last bytes read and written, in milliseconds. While nobody reads there is no silence. */
  readAtMs(): number;
  writtenAtMs(): number;
  sendHeartbeat(): void;
  /** Nothing came for two intervals. */
  onSilence(): void;
}

/**
 * Heartbeats of one connection (AMQP 0-9-1 §4.2.7): any traffic counts, a quiet side sends every half interval, and
 * silence of two intervals ends the connection. A broker that could not look in time, because it was busy or stopped,
 * first reads what came meanwhile.
 */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #silenceMs: number;
  readonly #peer: HeartbeatPeer;
  #timer: Timer | undefined;
  #dueAtMs = 0;

  /** @param interval.leastMs - silence is never judged by less than this. */
  constructor(clock: Clock, interval: { readonly agreedMs: number; readonly leastMs: number }, peer: HeartbeatPeer) {
    this.#clock = clock;
    this.#intervalMs = interval.agreedMs;
    this.#silenceMs = 2 * Math.max(interval.agreedMs, interval.leastMs);
    this.#peer = peer;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#dueAtMs = this.#clock.monotonicMs() + this.#intervalMs / 2;
    this.#timer = this.#clock.after(this.#intervalMs / 2, () => this.#look());
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs();
    const isInTime = nowMs - this.#dueAtMs < this.#intervalMs / 2;
    if (isInTime && nowMs - this.#peer.readAtMs() >= this.#silenceMs) return this.#peer.onSilence();
    if (nowMs - this.#peer.writtenAtMs() >= this.#intervalMs / 2) this.#peer.sendHeartbeat();
    this.#arm();
  }
}
