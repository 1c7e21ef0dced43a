import type { Clock } from '@torcello/platform';
import { agentLimits } from './limits.js';

/** What a server's clock said, and by how much it may be wrong, in milliseconds. */
export interface ServerTime {
  readonly nowMs: number;
  readonly errorMs: number;
}

/** Asks the API for the time. Rejects when it does not answer. */
export type AskServerTime = (signal: AbortSignal) => Promise<ServerTime>;

/** What one answer said, by this machine's clocks. */
interface Reading {
  readonly serverMs: number;
  readonly errorMs: number;
  readonly monotonicMs: number;
  /** Wall clock less monotonic clock: constant while nobody sets the one and the machine does not sleep. */
  readonly setMs: number;
}

/** How much a machine's clock gains or loses at worst, a thousandth of its age by a fifth. */
const driftRatio = 2e-4;

/**
 * The time by the server's clock. The API is asked only when somebody wants to know, and its answer serves for hours: it
 * is carried on by the monotonic clock, so that setting the machine's clock changes nothing, and taken as unsure a
 * little more the older it gets. When the wall clock has moved against the monotonic one (it was set, or the machine
 * slept) the API is asked again.
 */
export class ServerClock {
  readonly #clock: Clock;
  readonly #ask: AskServerTime | undefined;
  #reading: Reading | undefined;

  /** @param ask - absent: the machine's own clock is the server's. */
  constructor(clock: Clock, ask: AskServerTime | undefined) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** Undefined when it is not known to within `clockErrorMsMax`. */
  async now(signal: AbortSignal): Promise<ServerTime | undefined> {
    if (this.#ask === undefined) return { nowMs: this.#clock.now(), errorMs: 0 };
    const known = this.#known();
    if (known !== undefined) return known;
    this.#reading = await this.#ask(signal).then(
      ({ nowMs, errorMs }) => ({ serverMs: nowMs, errorMs, ...this.#instant() }),
      () => undefined,
    );
    return this.#known();
  }

  #known(): ServerTime | undefined {
    const reading = this.#reading;
    if (reading === undefined) return undefined;
    const { monotonicMs, setMs } = this.#instant();
    const ageMs = monotonicMs - reading.monotonicMs;
    const errorMs = reading.errorMs + ageMs * driftRatio;
    const most = agentLimits.clockErrorMsMax.value;
    if (errorMs > most || Math.abs(setMs - reading.setMs) > most) return undefined;
    return { nowMs: reading.serverMs + ageMs, errorMs };
  }

  #instant(): Pick<Reading, 'monotonicMs' | 'setMs'> {
    const monotonicMs = this.#clock.monotonicMs();
    return { monotonicMs, setMs: this.#clock.now() - monotonicMs };
  }
}
