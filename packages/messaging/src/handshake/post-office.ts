import { Background, hexId, type Service } from '@torcello/platform';
import type { Delivery, Destination, OutgoingMessage, Source, Topology } from '../driver.js';
import { MessagingError } from '../errors.js';
import { rpcClient, type RpcClient } from '../rpc/client.js';
import type { Method } from '../rpc/endpoint.js';
import { RemoteFailure } from '../rpc/failure.js';
import { rpcServer } from '../rpc/server.js';
import type { ConsumeOptions, Subscription, Transport } from '../transport/transport.js';
import { readersTopic, servedAt, topicOf, upwardOf, type HandshakeAddress } from './address.js';
import { DirectQueue } from './direct-queue.js';
import { handshakeLimits } from './limits.js';
import { KeptMailbox, type Announcement } from './kept-mailbox.js';
import type { KeptLetter, LetterStore } from './letter-store.js';
import { argumentsOf, readPosting, type Item, type Verdict } from './posting.js';
import { withMailboxes } from './with-mailboxes.js';

export interface PostOfficeOptions {
  readonly address: HandshakeAddress;
  readonly store: LetterStore;
}

/**
 * Keeps mailboxes for a transport that has none: letters wait in its store, a reader says "I am running" and is called
 * with them, one at a time, and a letter is gone when the reader has settled it. The program that owns the store runs it;
 * all others reach it through `postalTransport`.
 */
export class PostOffice implements Service {
  /** The transport with mailboxes, for the program that runs the office. The service does not close it. */
  readonly transport: Transport;
  readonly #inner: Transport;
  readonly #options: PostOfficeOptions;
  readonly #boxes = new Map<string, KeptMailbox>();
  readonly #direct: ReadonlyMap<string, DirectQueue>;
  readonly #servers: readonly Service[];
  readonly #readers: RpcClient;
  readonly #background: Background;

  constructor(inner: Transport, options: PostOfficeOptions) {
    this.#inner = inner;
    this.#options = options;
    const { address } = options;
    const { acceptedWithinMs, signOfLifeMs: callMonitorTimeoutMs } = handshakeLimits;
    const target = { exchange: address.exchange, topic: readersTopic(address) };
    this.#readers = rpcClient(inner, target, { timeoutMs: Infinity, acceptedWithinMs, callMonitorTimeoutMs });
    this.#direct = new Map(address.upward.map(({ queue }) => [queue, new DirectQueue(queue)]));
    const topics = [address.topic, ...address.upward.map(({ queue }) => topicOf(address, queue))];
    const server = `office-${hexId(inner.random)}`;
    this.#servers = topics.map((topic) =>
      rpcServer(inner, { exchange: address.exchange, topic, server }, [{ methods: this.#methods() }], {
        concurrency: handshakeLimits.postingsAtOnce,
      }),
    );
    this.#background = new Background((what, error) => inner.logger.error(what, { error }));
    this.transport = withMailboxes(inner, {
      ensure: (topology, ensureOptions) =>
        this.#isOurs(topology.source) ? this.#open(topology) : inner.ensure(topology, ensureOptions),
      publish: (to, message, publishOptions) =>
        servedAt(address, to) === undefined ? inner.publish(to, message, publishOptions) : this.#put(to, message),
      get: (source, getOptions) => (this.#isOurs(source) ? this.#get(source) : inner.get(source, getOptions)),
      consume: (source, consumeOptions) => this.#consume(source, consumeOptions),
      inspect: (source, inspectOptions) =>
        this.#isOurs(source) ? this.#inspect(source) : inner.inspect(source, inspectOptions),
      delete: (source, deleteOptions) =>
        this.#isOurs(source) ? this.#delete(source) : inner.delete(source, deleteOptions),
      close: () => inner.close(),
    });
  }

  async start(): Promise<void> {
    for (const server of this.#servers) await server.start();
  }

  /** Calls no reader any more; what is in the store stays there. */
  async stop(): Promise<void> {
    await Promise.all([...this.#boxes.values()].map((box) => box.stop()));
    await Promise.all(this.#servers.map((server) => server.stop()));
    this.#readers.close();
    await this.#background.settled();
  }

  #methods(): Readonly<Record<string, Method>> {
    return {
      put: async (given) => {
        const posting = readPosting(given);
        const { expiresMs } = posting;
        await this.#put(posting.destination, posting.message, {
          redelivered: posting.redelivered,
          ...(expiresMs === undefined ? {} : { expiresMs }),
        });
      },
      running: async (given) => {
        const { mailbox, ...reader } = readAnnouncement(given);
        const waiting = await this.#options.store.count(mailbox, this.#inner.clock.now());
        // Of one that is not open nothing is remembered: readers say again that they run.
        if (waiting === undefined) return { waiting: 0 };
        this.#box(mailbox).announce(reader);
        return { waiting };
      },
      gone: (given) => {
        const { mailbox, ...reader } = readAnnouncement(given);
        this.#boxes.get(mailbox)?.leave(reader);
        this.#forgetIdle(mailbox);
      },
    };
  }

  #isOurs({ queue }: Source): boolean {
    return this.#direct.has(queue) || this.#options.address.isMailbox(queue);
  }

  async #open({ source, options }: Topology): Promise<void> {
    if (this.#direct.has(source.queue)) return;
    const [asked] = Object.entries(options).find(([name, value]) => name !== 'durable' && value !== undefined) ?? [];
    if (asked !== undefined) {
      throw new MessagingError('CAPABILITY_MISSING', `a mailbox of the handshake has no option "${asked}"`, {
        details: { missing: [asked] },
      });
    }
    await this.#options.store.open(source.queue);
  }

  async #put(
    to: Destination,
    message: Pick<OutgoingMessage, 'body' | 'headers' | 'properties' | 'expiresMs'>,
    more: { readonly redelivered?: boolean; readonly expiresMs?: number } = {},
  ): Promise<void> {
    const { address, store } = this.#options;
    const upward = upwardOf(address, to);
    const item: Item = { destination: to, message, redelivered: more.redelivered ?? false };
    if (upward !== undefined) return this.#direct.get(upward.queue)?.put(item);
    const { messageId, contentType } = message.properties;
    const expiresMs = more.expiresMs ?? message.expiresMs;
    const isTaken =
      address.isMailbox(to.routingKey) &&
      (await store.add(to.routingKey, {
        id: messageId ?? hexId(this.#inner.random),
        body: message.body,
        contentType,
        headers: message.headers,
        expiresAtMs: expiresMs === undefined ? undefined : this.#inner.clock.now() + expiresMs,
      }));
    if (!isTaken) {
      const details = { mailbox: to.routingKey, mayArrive: false };
      throw new MessagingError('UNROUTABLE', `there is no mailbox "${to.routingKey}"`, { details });
    }
    this.#boxes.get(to.routingKey)?.wake();
  }

  async #get({ queue }: Source): Promise<Delivery | undefined> {
    await this.#inspect({ queue });
    const letter = await this.#box(queue).take();
    return letter === undefined ? undefined : this.#deliveryOf(queue, letter);
  }

  #consume(source: Source, options: ConsumeOptions): Promise<Subscription> {
    const direct = this.#direct.get(source.queue);
    if (direct !== undefined) return Promise.resolve(direct.consume(options));
    if (!this.#isOurs(source)) return this.#inner.consume(source, options);
    return Promise.reject(new TypeError('the keeper of a mailbox does not read it; it takes letters with `get`'));
  }

  async #inspect({ queue }: Source): Promise<{ readonly messages: number; readonly consumers: number }> {
    const direct = this.#direct.get(queue);
    if (direct !== undefined) return { messages: direct.size, consumers: 1 };
    const messages = await this.#options.store.count(queue, this.#inner.clock.now());
    if (messages === undefined) throw new MessagingError('NOT_FOUND', `there is no mailbox "${queue}"`);
    return { messages, consumers: this.#boxes.get(queue)?.readers ?? 0 };
  }

  async #delete({ queue }: Source): Promise<void> {
    const box = this.#boxes.get(queue);
    this.#boxes.delete(queue);
    await box?.stop();
    await this.#options.store.delete(queue);
  }

  #box(name: string): KeptMailbox {
    const known = this.#boxes.get(name);
    if (known !== undefined) return known;
    const { clock, logger } = this.#inner;
    const box = new KeptMailbox({
      name,
      store: this.#options.store,
      clock,
      logger,
      silenceMsMax: handshakeLimits.silenceMsMax,
      hand: (reader, letter, signal) => this.#call({ mailbox: name, reader, letter, signal }),
    });
    this.#boxes.set(name, box);
    return box;
  }

  #forgetIdle(name: string): void {
    if (this.#boxes.get(name)?.isIdle === true) this.#boxes.delete(name);
  }

  async #call(calling: {
    readonly mailbox: string;
    readonly reader: Announcement;
    readonly letter: KeptLetter;
    readonly signal: AbortSignal;
  }): Promise<{ readonly verdict: Verdict; readonly isLast: boolean }> {
    const { mailbox, reader, letter, signal } = calling;
    const args = { ...argumentsOf(itemOf(mailbox, letter)), consumer: reader.consumer };
    const answer = await this.#readers
      .prepare({ server: reader.server })
      .call<{ verdict?: unknown; isLast?: unknown } | null>('letter', args, { signal });
    const verdict = answer?.verdict === 'accept' || answer?.verdict === 'reject' ? answer.verdict : 'release';
    return { verdict, isLast: answer?.isLast === true };
  }

  #deliveryOf(mailbox: string, letter: KeptLetter): Delivery {
    const box = this.#box(mailbox);
    let isSettled = false;
    const settle = (verdict: Verdict): boolean => {
      if (isSettled) return false;
      isSettled = true;
      this.#background.run('a letter could not be settled', () => box.settle(letter, verdict));
      return true;
    };
    return {
      ...itemOf(mailbox, letter),
      earlierDeliveries: undefined,
      accept: () => settle('accept'),
      release: () => settle('release'),
      reject: () => settle('reject'),
    };
  }
}

function itemOf(mailbox: string, { id, body, contentType, headers, wasHandedOut }: KeptLetter): Item {
  const properties = { messageId: id, ...(contentType === undefined ? {} : { contentType }) };
  return {
    destination: { exchange: '', routingKey: mailbox },
    message: { body, headers, properties },
    redelivered: wasHandedOut,
  };
}

function readAnnouncement(given: Readonly<Record<string, unknown>>): Announcement & { readonly mailbox: string } {
  const { mailbox, owner, server, consumer } = given;
  const names = [mailbox, owner, server, consumer];
  if (isTexts(names)) {
    const [of = '', by = '', at = '', once = ''] = names;
    return { mailbox: of, owner: by, server: at, consumer: once };
  }
  throw new RemoteFailure({ class: 'ValueError', message: 'this is no announcement', code: 'UNDECODABLE' });
}

function isTexts(values: readonly unknown[]): values is readonly string[] {
  return values.every((value) => typeof value === 'string' && value !== '');
}
