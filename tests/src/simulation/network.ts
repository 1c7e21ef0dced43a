import { Duplex } from 'node:stream';
import type { Network, Random } from '@torcello/platform';
import type { Life, WorldClock } from './world-clock.js';

const slowRate = 0.05;
const slowMsMax = 40;

/** The wires of a world. Bytes keep their order; some come late, and a wire can be cut, held or half open. */
export class SimulatedNetwork {
  readonly #clock: WorldClock;
  readonly #random: Random;
  readonly #wires = new Set<Wire>();
  #server: { readonly life: Life; readonly accept: (stream: Duplex) => void } | undefined;
  #heldUntilMs = 0;

  constructor(clock: WorldClock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Whoever dials from now on reaches this process, until it dies. */
  serve(life: Life, accept: (stream: Duplex) => void): void {
    this.#server = { life, accept };
    life.onDeath(() => {
      this.#server = undefined;
      this.cut();
    });
  }

  /** The network as this process sees it. */
  of(life: Life): Network {
    life.onDeath(() => {
      for (const wire of this.#wires) if (wire.client === life) this.#close(wire);
    });
    return {
      dial: () =>
        new Promise((resolve, reject) => {
          life.clock.after(this.#random.fraction() * 5, () => {
            const server = this.#server;
            if (server === undefined) return reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
            const wire = new Wire({
              client: life,
              server: server.life,
              delay: () => this.#delay(),
              clock: this.#clock,
            });
            this.#wires.add(wire);
            server.accept(wire.far);
            resolve(wire.near);
          });
        }),
    };
  }

  /** Every connection, or those of one process, breaks and both sides see it. */
  cut(life?: Life): void {
    for (const wire of this.#wires) if (life === undefined || wire.client === life) this.#close(wire);
  }

  /** Nothing passes for so long and nobody is told. */
  hold(forMs: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, this.#clock.monotonicMs + forMs);
  }

  /** The broker sees the end; the others do not. */
  halfOpen(): void {
    for (const wire of this.#wires) wire.halfOpen();
  }

  #close(wire: Wire): void {
    this.#wires.delete(wire);
    wire.cut();
  }

  #delay(): number {
    const heldMs = Math.max(0, this.#heldUntilMs - this.#clock.monotonicMs);
    return heldMs > 0 || this.#random.fraction() < slowRate ? heldMs + this.#random.fraction() * slowMsMax : 0;
  }
}

interface WireOptions {
  readonly client: Life;
  readonly server: Life;
  readonly clock: WorldClock;
  readonly delay: () => number;
}

class Wire {
  readonly client: Life;
  readonly near: End;
  readonly far: End;

  constructor(options: WireOptions) {
    this.client = options.client;
    this.near = new End(new Way(options.server, options));
    this.far = new End(new Way(options.client, options));
    this.near.way.to = this.far;
    this.far.way.to = this.near;
  }

  cut(): void {
    this.near.break();
    this.far.break();
  }

  halfOpen(): void {
    this.near.way.isBroken = true;
    this.far.way.isBroken = true;
    this.far.break();
  }
}

/** One direction: what is sent arrives in its order, each piece a little later than it was sent. */
class Way {
  to: End | undefined;
  isBroken = false;
  readonly #receiver: Life;
  readonly #options: WireOptions;
  readonly #queue: (Buffer | null)[] = [];
  #isMoving = false;

  constructor(receiver: Life, options: WireOptions) {
    this.#receiver = receiver;
    this.#options = options;
  }

  send(piece: Buffer | null): void {
    this.#queue.push(piece);
    if (!this.#isMoving) this.#move();
  }

  #move(): void {
    this.#isMoving = true;
    const delayMs = this.#options.delay();
    if (delayMs > 0) this.#options.clock.after(delayMs, () => this.#arrive());
    else setImmediate(() => this.#arrive());
  }

  #arrive(): void {
    const pieces = this.#queue.splice(0);
    this.#isMoving = false;
    this.#receiver.do(() => {
      if (this.isBroken) return;
      for (const piece of pieces) this.to?.receive(piece);
    });
  }
}

class End extends Duplex {
  readonly way: Way;

  constructor(way: Way) {
    super({ allowHalfOpen: true, highWaterMark: 1_048_576 });
    this.way = way;
  }

  override _read(): void {
    // Whatever arrives is pushed.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.way.send(Buffer.from(chunk));
    done();
  }

  override _final(done: () => void): void {
    this.way.send(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.way.send(null);
    done(error);
  }

  receive(piece: Buffer | null): void {
    if (!this.destroyed) this.push(piece);
  }

  break(): void {
    if (!this.destroyed) this.destroy(Object.assign(new Error('cut'), { code: 'ECONNRESET' }));
  }
}
