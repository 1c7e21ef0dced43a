import { seededRandom } from '@torcello/platform/testing';
import type { Driver, DriverConnection } from '../driver.js';
import { MessagingError } from '../errors.js';

/** How often something goes wrong, each between 0 and 1. */
export interface Fault {
  /** The same seed makes the same choices. */
  readonly seed: number;
  /** A publish is stored and its confirm lost: CONNECTION_LOST with `mayArrive`. */
  readonly lostConfirms?: number;
  /** A publish never leaves: CONNECTION_LOST without `mayArrive`. */
  readonly lostPublishes?: number;
  /** A host does not answer: CONNECT_FAILED. */
  readonly failedConnects?: number;
}

/** A driver that loses its connection now and then; what stands in front of it has to make up for that. */
export function faulty(driver: Driver, fault: Fault): Driver {
  const random = seededRandom(fault.seed);
  const happens = (probability: number | undefined): boolean => random.fraction() < (probability ?? 0);
  return {
    schemes: driver.schemes,
    connect: async (url, options) => {
      if (happens(fault.failedConnects)) throw new MessagingError('CONNECT_FAILED', 'planned: no host answers');
      const connection = await driver.connect(url, options);
      const lose = async (mayArrive: boolean): Promise<never> => {
        await connection.close();
        throw new MessagingError('CONNECTION_LOST', 'planned: the connection was lost', { details: { mayArrive } });
      };
      const publish: DriverConnection['publish'] = async (...message) => {
        if (happens(fault.lostPublishes)) return lose(false);
        await connection.publish(...message);
        if (happens(fault.lostConfirms)) await lose(true);
      };
      return wrap(connection, publish);
    },
  };
}

function wrap(connection: DriverConnection, publish: DriverConnection['publish']): DriverConnection {
  return {
    get capabilities() {
      return connection.capabilities;
    },
    get isBlocked() {
      return connection.isBlocked;
    },
    closed: connection.closed.then((reason) => reason ?? new MessagingError('CONNECTION_LOST', 'planned: lost')),
    publish,
    onBlocked: (listener) => connection.onBlocked(listener),
    ensure: (...given) => connection.ensure(...given),
    get: (source) => connection.get(source),
    consume: (...given) => connection.consume(...given),
    openReplies: (...given) => connection.openReplies(...given),
    inspect: (source) => connection.inspect(source),
    delete: (source) => connection.delete(source),
    close: () => connection.close(),
  };
}
