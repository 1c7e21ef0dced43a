import type { Duplex } from 'node:stream';
import { systemNetwork, type Network } from '@torcello/platform';

/** The real network, which remembers what was dialled: so that a test can wait until the client has seen a cut. */
export class WatchedNetwork implements Network {
  readonly #streams = new Set<Duplex>();

  async dial(...arguments_: Parameters<Network['dial']>): Promise<Duplex> {
    const stream = await systemNetwork.dial(...arguments_);
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    return stream;
  }

  /** Resolves when every stream that is open now has been seen closed by its owner. */
  async allClosed(): Promise<void> {
    await Promise.all([...this.#streams].map((stream) => new Promise((resolve) => stream.once('close', resolve))));
  }
}
