import type { Destination, OutgoingMessage, Source } from '../driver.js';
import { MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { rpcClient } from '../rpc/client.js';
import type { PublishOptions, Transport } from '../transport/transport.js';
import { servedAt, type HandshakeAddress } from './address.js';
import { postingOf, refusalOf } from './posting.js';
import { ReaderDesk } from './reader-desk.js';
import { withMailboxes } from './with-mailboxes.js';

export interface PostalOptions {
  readonly address: HandshakeAddress;
  /** Who reads, whatever process it is: a later reader of the same owner takes the place of the earlier one. */
  readonly owner: string;
}

/**
 * The same transport with mailboxes that a `PostOffice` keeps: letters are put by a call to it, and read by saying "I am
 * running" and being called. Letters come one at a time whatever the credit. Mailboxes are opened, inspected and deleted
 * by their keeper only.
 */
export function postalTransport(inner: Transport, { address, owner }: PostalOptions): Transport {
  const office = rpcClient(inner, { exchange: address.exchange });
  let desk: ReaderDesk | undefined;
  const readers = (): ReaderDesk => (desk ??= new ReaderDesk(inner, address, owner));
  const isOurs = ({ queue }: Source): boolean => address.isMailbox(queue);

  const put = async (topic: string, posting: Posting): Promise<void> => {
    const { to, message, options } = posting;
    const { timeoutMs = limits.operationTimeoutMs, signal } = options;
    const args = postingOf(to, message);
    try {
      await office.prepare({ topic }).call('put', args, { timeoutMs, ...(signal === undefined ? {} : { signal }) });
    } catch (error) {
      throw refusalOf(error);
    }
  };

  return withMailboxes(inner, {
    // Its keeper opens it; whoever reads or writes need not wait for that.
    ensure: (topology, options) => (isOurs(topology.source) ? Promise.resolve() : inner.ensure(topology, options)),
    publish: (to, message, options = {}) => {
      const topic = servedAt(address, to);
      return topic === undefined ? inner.publish(to, message, options) : put(topic, { to, message, options });
    },
    get: (source, options = {}) =>
      isOurs(source) ? readers().take(source.queue, options.signal) : inner.get(source, options),
    consume: (source, options) =>
      isOurs(source) ? readers().read(source.queue, options.onDelivery) : inner.consume(source, options),
    inspect: (source, options) => (isOurs(source) ? Promise.reject(keepersOnly()) : inner.inspect(source, options)),
    delete: (source, options) => (isOurs(source) ? Promise.reject(keepersOnly()) : inner.delete(source, options)),
    close: async () => {
      await desk?.stop();
      office.close();
      await inner.close();
    },
  });
}

interface Posting {
  readonly to: Destination;
  readonly message: OutgoingMessage;
  readonly options: PublishOptions;
}

function keepersOnly(): MessagingError {
  const details = { missing: ['mailboxes'] };
  return new MessagingError('CAPABILITY_MISSING', 'only the keeper of a mailbox inspects and deletes it', { details });
}
