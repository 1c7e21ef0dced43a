import type { AbortSignalLike, OutgoingMessage } from '@torcello/messaging';
import type { Engine } from './engine.js';
import { driverLimits } from './limits.js';
import { SenderLink } from './sender-link.js';

/** The senders of a connection: one for each address, the one that was idle longest is closed when there are too many. */
export class Publisher {
  readonly #engine: Engine;
  /** In the order of their last use. */
  readonly #links = new Map<string, SenderLink>();
  /** The last of them. */
  #latest: SenderLink | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  publish(
    address: string,
    message: OutgoingMessage,
    options: { readonly nodeCapabilities: readonly string[]; readonly signal: AbortSignalLike | undefined },
  ): Promise<void> {
    return this.#link(address, options.nodeCapabilities).send(message, options.signal);
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await Promise.all([...this.#links.values()].map((link) => link.idle()));
  }

  #link(address: string, nodeCapabilities: readonly string[]): SenderLink {
    const known = this.#links.get(address);
    if (known !== undefined && known === this.#latest) return known;
    const link = known ?? this.#open(address, nodeCapabilities);
    this.#links.delete(address);
    this.#links.set(address, link);
    this.#latest = link;
    return link;
  }

  #open(address: string, nodeCapabilities: readonly string[]): SenderLink {
    if (this.#links.size >= driverLimits.sendersMax) {
      [...this.#links.values()].find((link) => link.isIdle)?.close();
    }
    const link = new SenderLink({ engine: this.#engine, address, nodeCapabilities });
    link.onEnd(() => {
      if (this.#links.get(address) === link) this.#links.delete(address);
    });
    return link;
  }
}
