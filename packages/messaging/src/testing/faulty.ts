import { seededRandom } from '@torcello/platform/testing';
import type { Capabilities, Driver, DriverConnection } from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';

/** How often something goes wrong, each between 0 and 1 and by default never. */
export interface Fault {
  /** The same seed makes the same choices. */
  readonly seed: number;
  /** A publish is stored and its confirm lost: CONNECTION_LOST with `mayArrive`. */
  readonly lostConfirms?: number;
  /** A publish never leaves: CONNECTION_LOST without `mayArrive`. */
  readonly lostPublishes?: number;
  /** A host does not answer: CONNECT_FAILED. */
  readonly failedConnects?: number;
  /** What the transport cannot do although its driver can. */
  readonly capabilities?: Partial<Capabilities>;
}

/** A driver that loses its connection now and then; what stands in front of it has to make up for that. */
export function faulty(driver: Driver, fault: Fault): Driver {
  const random = seededRandom(fault.seed);
  const happens = (probability: number | undefined): boolean => random.fraction() < (probability ?? 0);
  return {
    schemes: driver.schemes,
    connect: async (url, options) => {
      if (happens(fault.failedConnects)) throw new MessagingError('CONNECT_FAILED', 'planned: no host answers');
      const connection = new FragileConnection(await driver.connect(url, options), fault);
      return connection.with(async (...message) => {
        if (happens(fault.lostPublishes)) return connection.lose({ mayArrive: false });
        await connection.inner.publish(...message);
        if (happens(fault.lostConfirms)) await connection.lose({ mayArrive: true });
      });
    },
  };
}

class FragileConnection {
  readonly inner: DriverConnection;
  readonly #capabilities: Capabilities;
  #isLost = false;

  constructor(inner: DriverConnection, fault: Fault) {
    this.inner = inner;
    this.#capabilities = Object.freeze({ ...inner.capabilities, ...fault.capabilities });
  }

  async lose(details: { readonly mayArrive: boolean }): Promise<never> {
    this.#isLost = true;
    await this.inner.close();
    throw lost(details);
  }

  with(publish: DriverConnection['publish']): DriverConnection {
    const { inner } = this;
    return {
      capabilities: this.#capabilities,
      ...(inner.wire === undefined ? {} : { wire: inner.wire }),
      get isBlocked() {
        return inner.isBlocked;
      },
      closed: inner.closed.then((reason) => reason ?? (this.#isLost ? lost({ mayArrive: false }) : undefined)),
      onBlocked: (listener) => inner.onBlocked(listener),
      publish: (...given) => this.#told(publish(...given)),
      ensure: (...given) => this.#told(inner.ensure(...given)),
      get: (source) => this.#told(inner.get(source)),
      consume: (...given) => this.#told(inner.consume(...given)),
      openReplies: (...given) => this.#told(inner.openReplies(...given)),
      inspect: (source) => this.#told(inner.inspect(source)),
      delete: (source) => this.#told(inner.delete(source)),
      close: () => inner.close(),
    };
  }

  /** Nobody may see that it was we who closed it. */
  async #told<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw this.#isLost && isMessagingError(error, 'CLOSED') ? lost({ mayArrive: false }) : error;
    }
  }
}

function lost(details: { readonly mayArrive: boolean }): MessagingError {
  return new MessagingError('CONNECTION_LOST', 'planned: the connection was lost', { details });
}
