import type { ConnectOptions, Driver } from '../driver.js';
import { MessagingError } from '../errors.js';
import type { TransportUrl } from '../transport-url.js';
import { MemoryBroker } from './broker.js';
import { MemoryConnection } from './connection.js';

/**
 * The driver for one process: `memory:` (alias `fake:`). Host and path of the URL name the broker, so that
 * `memory://a` and `memory://b` know nothing of each other; two drivers share nothing.
 * @param options.broker - serves every URL; default is one broker for each name, made at the first connect.
 */
export function memoryDriver(options: { readonly broker?: MemoryBroker } = {}): Driver {
  const brokers = new Map<string, MemoryBroker>();
  const brokerOf = (url: TransportUrl, { clock }: ConnectOptions): MemoryBroker => {
    const name = `${url.hosts.map(({ host }) => host).join(',')}/${url.vhost ?? ''}`;
    const broker = options.broker ?? brokers.get(name) ?? new MemoryBroker(clock);
    brokers.set(name, broker);
    return broker;
  };
  return {
    schemes: ['memory', 'fake'],
    connect: async (url, connectOptions) => {
      const [unknown] = url.options.keys();
      if (unknown !== undefined) {
        throw new MessagingError('INVALID_URL', `the memory transport has no option "${unknown}"`);
      }
      return new MemoryConnection(brokerOf(url, connectOptions));
    },
  };
}
