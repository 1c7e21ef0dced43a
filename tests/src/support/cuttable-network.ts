import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { systemNetwork, type HostPort, type Network } from '@torcello/platform';

/** A network whose open streams can all be broken at once, as a cable cut does. */
export class CuttableNetwork implements Network {
  readonly #inner: Network;
  readonly #open = new Set<Duplex>();

  constructor(inner: Network = systemNetwork) {
    this.#inner = inner;
  }

  async dial(to: HostPort, options?: Parameters<Network['dial']>[1]): Promise<Duplex> {
    const stream = await this.#inner.dial(to, options);
    this.#open.add(stream);
    stream.once('close', () => this.#open.delete(stream));
    return stream;
  }

  /** Resolves when this end has noticed. */
  async cut(): Promise<void> {
    const closed = Array.from(this.#open, (stream) => once(stream, 'close'));
    for (const stream of this.#open) stream.destroy();
    await Promise.all(closed);
  }
}
