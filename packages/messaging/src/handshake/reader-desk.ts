import type { AbortSignalLike } from '../abort.js';
import { Background, hexId, sleep } from '@torcello/platform';
import type { Delivery } from '../driver.js';
import { rpcClient, type RpcClient } from '../rpc/client.js';
import { rpcServer } from '../rpc/server.js';
import type { Subscription, Transport } from '../transport/transport.js';
import { readersTopic, type HandshakeAddress } from './address.js';
import { handshakeLimits } from './limits.js';
import { readPosting, type Verdict } from './posting.js';

/** One time of reading a mailbox. */
interface Reading {
  readonly mailbox: string;
  readonly consumer: string;
  readonly onDelivery: (delivery: Delivery) => void;
  isOver: boolean;
}

/** Where a program listens that reads mailboxes of a keeper elsewhere: it says that it runs, and is called with letters. */
export class ReaderDesk {
  readonly #transport: Transport;
  readonly #owner: string;
  readonly #name: string;
  readonly #office: RpcClient;
  readonly #server: { start(): Promise<void>; stop(): Promise<void> };
  readonly #readings = new Map<string, Reading>();
  readonly #open = new Set<() => void>();
  readonly #background: Background;
  readonly #stopping = new AbortController();
  readonly #unsubscribe: () => void;
  #started: Promise<void> | undefined;
  #isHeard = true;

  constructor(transport: Transport, address: HandshakeAddress, owner: string) {
    this.#transport = transport;
    this.#owner = owner;
    this.#name = `${owner}-${hexId(transport.random).slice(0, 8)}`;
    const { exchange, topic } = address;
    const { announceMs, acceptedWithinMs } = handshakeLimits;
    this.#office = rpcClient(transport, { exchange, topic }, { timeoutMs: announceMs, acceptedWithinMs });
    const methods = { letter: (given: Readonly<Record<string, unknown>>) => this.#take(given) };
    this.#server = rpcServer(transport, { exchange, topic: readersTopic(address), server: this.#name }, [{ methods }]);
    this.#background = new Background((what, error) => transport.logger.error(what, { error }));
    this.#unsubscribe = transport.onState((state) => this.#onState(state));
  }

  /** Reads from now on, as soon as the keeper hears of it. */
  async read(mailbox: string, onDelivery: (delivery: Delivery) => void): Promise<Subscription> {
    const reading = await this.#add(mailbox, onDelivery);
    this.#background.run('announcing a reader failed', () => this.#announce(reading).catch(() => undefined));
    return this.#subscription(reading);
  }

  /** The letter that is there now. @throws what keeps the keeper from answering. */
  async take(mailbox: string, signal: AbortSignalLike | undefined): Promise<Delivery | undefined> {
    let found: (delivery: Delivery) => void = () => undefined;
    const first = new Promise<Delivery>((resolve) => (found = resolve));
    const reading = await this.#add(mailbox, (delivery) => {
      reading.isOver = true;
      found(delivery);
    });
    const { clock } = this.#transport;
    const late = new AbortController();
    try {
      const { waiting } = await this.#announce(reading, signal);
      if (waiting === 0) return undefined;
      const patience = sleep(clock, handshakeLimits.acceptedWithinMs, late.signal).catch(() => undefined);
      return (await Promise.race([first, patience])) ?? undefined;
    } finally {
      late.abort();
      this.#end(reading);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the transport was closed'));
    this.#unsubscribe();
    this.#readings.clear();
    this.#lose();
    await this.#started?.catch(() => undefined);
    await this.#server.stop();
    await this.#background.settled();
    this.#office.close();
  }

  async #add(mailbox: string, onDelivery: (delivery: Delivery) => void): Promise<Reading> {
    const reading = { mailbox, consumer: hexId(this.#transport.random), onDelivery, isOver: false };
    this.#started ??= this.#start();
    await this.#started;
    this.#readings.set(reading.consumer, reading);
    return reading;
  }

  async #start(): Promise<void> {
    try {
      await this.#server.start();
    } catch (error) {
      this.#started = undefined;
      throw error;
    }
    this.#background.run('announcing readers failed', () => this.#keepAnnouncing());
  }

  #subscription(reading: Reading): Subscription {
    let end: () => void = () => undefined;
    const ended = new Promise<undefined>((resolve) => (end = (): void => resolve(undefined)));
    return {
      ended,
      // Letters come one at a time in any case.
      setCredit: () => undefined,
      stop: async () => {
        this.#end(reading);
        end();
      },
    };
  }

  #end(reading: Reading): void {
    reading.isOver = true;
    if (!this.#readings.delete(reading.consumer) || this.#stopping.signal.aborted) return;
    const gone = this.#announcement(reading);
    // Unheard it costs the keeper one call, whose answer says the same.
    this.#background.run('saying goodbye failed', () => this.#office.cast('gone', gone).catch(() => undefined));
  }

  /** Called by the keeper; resolves when the letter is settled. */
  #take(given: Readonly<Record<string, unknown>>): Promise<{ readonly verdict: Verdict; readonly isLast: boolean }> {
    const { destination, message, redelivered } = readPosting(given);
    const reading = this.#readings.get(String(given['consumer']));
    if (reading === undefined) return Promise.resolve({ verdict: 'release', isLast: true });
    return new Promise((resolve) => {
      const settle = (verdict: Verdict): boolean => {
        if (!this.#open.delete(lose)) return false;
        resolve({ verdict, isLast: reading.isOver });
        return true;
      };
      const lose = (): void => void settle('release');
      this.#open.add(lose);
      reading.onDelivery({
        destination,
        message,
        redelivered,
        earlierDeliveries: undefined,
        accept: () => settle('accept'),
        release: () => settle('release'),
        reject: () => settle('reject'),
      });
    });
  }

  /** Deliveries of a lost connection cannot be settled any more, as on every transport. */
  #lose(): void {
    for (const lose of this.#open) lose();
  }

  #onState(state: string): void {
    if (state === 'connecting') this.#lose();
    if (state === 'connected') this.#announceAll();
  }

  async #keepAnnouncing(): Promise<void> {
    const { clock } = this.#transport;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(clock, handshakeLimits.announceMs, signal).catch(() => undefined);
      if (!signal.aborted && this.#transport.state === 'connected') this.#announceAll();
    }
  }

  #announceAll(): void {
    for (const reading of this.#readings.values()) {
      this.#background.run('announcing a reader failed', () => this.#announce(reading).catch(() => undefined));
    }
  }

  /** "I am running": whoever hears it may call with letters. */
  async #announce(
    reading: Reading,
    signal: AbortSignalLike = this.#stopping.signal,
  ): Promise<{ readonly waiting: number }> {
    const { mailbox } = reading;
    try {
      const answer = await this.#office.call<{ readonly waiting: number }>('running', this.#announcement(reading), {
        signal,
      });
      if (!this.#isHeard) this.#transport.logger.info('the keeper of mailboxes answers again', { mailbox });
      this.#isHeard = true;
      return answer;
    } catch (error) {
      if (this.#isHeard && !signal.aborted)
        this.#transport.logger.warn('the keeper of mailboxes does not answer; it is told again', { mailbox, error });
      this.#isHeard = false;
      throw error;
    }
  }

  #announcement({ mailbox, consumer }: Reading): Readonly<Record<string, string>> {
    return { mailbox, owner: this.#owner, server: this.#name, consumer };
  }
}
