import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { silentLogger, systemClock, systemRandom } from '@torcello/platform';
import type { Clock, HostPort, Logger, Random, Timer } from '@torcello/platform';
import { everything, Users } from './access/users.js';
import type { User } from './access/users.js';
import { Alarms } from './alarms.js';
import type { Resources } from './alarms.js';
import { AmqpError } from './amqp-error.js';
import { limitReached } from './limit-reached.js';
import type { BrokerCore, Permit } from './broker-core.js';
import { Connection } from './connection.js';
import type { Admission } from './connection.js';
import type { ConnectionAbout } from './connection-about.js';
import { zeroCounters } from './counters.js';
import type { Counters } from './counters.js';
import { DirectReplies } from './direct-replies.js';
import type { DiskReserve } from './disk-reserve.js';
import { Flusher } from './flusher.js';
import { defaultLimits } from './limits.js';
import type { BrokerLimits } from './limits.js';
import { forgetStop, markOfStop } from './orderly-stop.js';
import { Pager } from './pager.js';
import { neededMemoryBytes } from './process-memory.js';
import { SharedBodies } from './queue/shared-bodies.js';
import { isLoopback } from './loopback.js';
import { certificateName, isImpostor, tlsOptions } from './tls.js';
import type { TlsIdentity } from './tls.js';
import { recoverFrom } from './recovery.js';
import { CommitLog } from './store/commit-log.js';
import type { MessagePlace, MessageStore } from './store/message-store.js';
import { recordKey, recordKinds } from './topology-records.js';
import { Turns } from './turns.js';
import { Vhost } from './vhost.js';

/** A user that the broker makes at its start, or gives this password to. */
export interface FirstUser {
  readonly name: string;
  readonly password: string;
  readonly tags?: readonly string[];
}

/** How a broker is started. */
export interface BrokerOptions {
  /** Where everything is kept; the broker closes it when it stops. */
  readonly store: MessageStore;
  /** Users that shall be there, made with all rights in the virtual host `/`. Default none. */
  readonly users?: readonly FirstUser[];
  /**
   * Do not wait at the start until their passwords are hashed, which is slow by intent; a login as one of them waits
   * instead. Default false.
   */
  readonly usersInBackground?: boolean;
  /** Deprecated features that are permitted. Default none: what a current RabbitMQ cluster refuses is refused. */
  readonly permits?: readonly Permit[];
  /**
   * Tell clients the name `RabbitMQ` and the version of the one whose interface this is, for those that work otherwise with
   * brokers of other names. Default false: the broker says its own.
   */
  readonly asRabbitMq?: boolean;
  /** Limits that differ from `defaultLimits`. */
  readonly limits?: Partial<BrokerLimits>;
  /** Free space of the data folder, in bytes. Default: not watched. */
  readonly diskFreeBytes?: () => number;
  /** Room kept aside for acknowledgements on a full disk. Default none. */
  readonly diskReserve?: DiskReserve;
  /**
   * Called once when the store failed. Nothing is confirmed any more, and the process should end: what the disk holds is
   * known only after a new start. Default: throws, which ends the process.
   */
  readonly onFatal?: (error: unknown) => void;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/** An open port; the words for protocols are RabbitMQ's. */
export interface Listener extends HostPort {
  readonly protocol: 'amqp' | 'amqp/ssl';
}

/** A running broker. It serves whatever stream of bytes it is given. */
export interface Broker {
  readonly limits: BrokerLimits;
  readonly users: Users;
  /** Number of connections, those that have not logged in included. */
  readonly connectionCount: number;
  readonly vhosts: ReadonlyMap<string, Vhost>;
  /** Why publishes wait now; undefined when they are not. */
  readonly blockedReason: string | undefined;
  /**
   * Serves a client on this stream. `address` names the client for the log and counts towards the limits of one address;
   * `certificateName` is whom a certificate names that the client has proved to be its own.
   */
  accept(stream: Duplex, address?: string, certificateName?: string): void;
  /** Serves TCP, or TLS; port 0 lets the system choose. Resolves with the address. @throws Node's system error. */
  listen(at: HostPort, tls?: TlsIdentity): Promise<HostPort>;
  /** The virtual host of that name, made durably when it is not there. */
  createVhost(name: string): Promise<void>;
  /** Closes its connections, deletes all that it holds, and takes its rights from users; false when there is none. */
  deleteVhost(name: string): Promise<boolean>;
  /** Looks at free space and memory now, instead of at the next turn. */
  checkResources(): Promise<void>;
  /** What has happened since the start. */
  readonly counters: Readonly<Counters>;
  /** Where it listens. */
  readonly listeners: readonly Listener[];
  /** Memory that is needed now, and free space for the data, in bytes; undefined when there is no folder. */
  resources(): { readonly memoryBytes: number; readonly diskFreeBytes: number | undefined };
  /** Every connection, those that have not logged in included. */
  connections(): readonly ConnectionAbout[];
  /** Closes the connection with this `name`, and tells its client why; false when there is none. */
  closeConnection(name: string, reason?: string): boolean;
  /** Closes every connection of a user; tells how many they were. */
  closeConnectionsOf(user: string, reason?: string): number;
  /** Resolves when every change made so far is durable. */
  durable(): Promise<void>;
  /** Closes connections with a word, waits for the store, and lets go of ports and files. Safe to call twice. */
  stop(): Promise<void>;
}

export const defaultVhost = '/';
const socketOptions = { noDelay: true, highWaterMark: 64 * 1024 };
const closedText = 'closed by an administrator';
const stopText = 'broker forced connection closure with reason: shutdown';

/** Recovers what the store holds, makes the first users, and serves. @throws StoreDamage. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const broker = new RunningBroker(options);
  await broker.start(options);
  return broker;
}

class RunningBroker implements Broker, BrokerCore, Admission {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: BrokerLimits;
  readonly log: CommitLog;
  readonly bodies: SharedBodies;
  readonly pager: Pager;
  readonly users: Users;
  readonly vhosts: Map<string, Vhost> = new Map();
  readonly permits: ReadonlySet<Permit>;
  readonly asRabbitMq: boolean;
  readonly flusher: Flusher = new Flusher();
  readonly turns: Turns = new Turns();
  readonly counters: Counters = zeroCounters();
  readonly directReplies: DirectReplies;
  readonly #store: MessageStore;
  readonly #onFatal: ((error: unknown) => void) | undefined;
  readonly #diskReserve: DiskReserve | undefined;
  readonly #alarms: Alarms;
  readonly #connections = new Set<Connection>();
  readonly #servers = new Map<Server, Listener>();
  readonly #diskFreeBytes: () => number | undefined;
  /** Those that have logged in, and of them those that were let in. */
  readonly #counted = new Set<Connection>();
  readonly #opened = new Set<Connection>();
  readonly #perUser = new Map<string, number>();
  #queueNumberLast = 0;
  #waitingForRoom: { readonly timer: Timer; readonly goOn: () => void } | undefined;
  #onNoRoom: (() => void) | undefined;
  #making: Promise<unknown> = Promise.resolve();
  #stopping: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: BrokerOptions) {
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? systemRandom;
    this.logger = options.logger ?? silentLogger;
    this.limits = { ...defaultLimits, ...options.limits };
    this.permits = new Set(options.permits);
    this.asRabbitMq = options.asRabbitMq === true;
    this.#store = options.store;
    this.#diskFreeBytes = options.diskFreeBytes ?? (() => undefined);
    this.#onFatal = options.onFatal;
    this.#diskReserve = options.diskReserve;
    this.log = new CommitLog(options.store, {
      onFailure: (error) => this.#fail(error),
      onFull: (goOn) => this.#makeRoom(goOn),
      onCommitted: (bytes) => this.#alarms.wrote(bytes),
    });
    this.bodies = new SharedBodies(this.log);
    this.pager = new Pager(this.log, this.limits.residentMessageBytesMax);
    this.users = new Users(this.log, this.random);
    this.directReplies = new DirectReplies(this.random);
    this.#alarms = new Alarms({
      clock: this.clock,
      logger: this.logger,
      limits: this.limits,
      resources: resourcesOf(options),
      onChange: (reason) => {
        for (const connection of this.#connections) connection.tellBlocked(reason);
        if (reason === undefined) this.#takeReserve();
      },
    });
  }

  get connectionCount(): number {
    return this.#connections.size;
  }
  get blockedReason(): string | undefined {
    return this.#alarms.reason;
  }
  get listeners(): readonly Listener[] {
    return [...this.#servers.values()];
  }

  resources(): { readonly memoryBytes: number; readonly diskFreeBytes: number | undefined } {
    return { memoryBytes: neededMemoryBytes(), diskFreeBytes: this.#diskFreeBytes() };
  }

  async start(options: BrokerOptions): Promise<void> {
    const recovered = recoverFrom(this.#store, {
      users: this.users,
      limits: this.limits,
      bodies: this.bodies,
      vhost: (name) => this.#vhost(name),
    });
    this.#queueNumberLast = recovered.queueNumberLast;
    if (recovered.wasStopped) this.log.append(forgetStop);
    if (recovered.queues > 0) this.logger.info('queues were recovered', { ...recovered });
    if (!this.vhosts.has(defaultVhost)) this.#addVhost(defaultVhost);
    const making = (options.users ?? []).map((user) => this.users.hold(user.name, this.#addFirstUser(user)));
    if (options.usersInBackground === true) this.#making = Promise.allSettled(making);
    else await Promise.all(making);
    await this.log.flushed();
    await this.#alarms.start();
    if (this.blockedReason === undefined) this.#takeReserve();
  }

  accept(stream: Duplex, address = 'pipe', name?: string): void {
    if (this.#stopping !== undefined || this.#isTooManyBeforeLogin(address)) {
      stream.on('error', () => undefined);
      stream.destroy();
      return;
    }
    const number = ++this.counters.connectionsOpened;
    this.#connections.add(new Connection(this, stream, { address, number, certificateName: name, admission: this }));
  }

  async listen(at: HostPort, tls?: TlsIdentity): Promise<HostPort> {
    const server = tls === undefined ? this.#plainServer() : this.#tlsServer(tls);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at.port, at.host, resolve);
    });
    server.on('error', (error) => this.logger.error('a listener failed', { error }));
    const { port } = server.address() as AddressInfo;
    this.#servers.set(server, { host: at.host, port, protocol: tls === undefined ? 'amqp' : 'amqp/ssl' });
    return { host: at.host, port };
  }

  async createVhost(name: string): Promise<void> {
    if (!this.vhosts.has(name)) this.#addVhost(name);
    await this.log.flushed();
  }

  async deleteVhost(name: string): Promise<boolean> {
    const vhost = this.vhosts.get(name);
    if (vhost === undefined) return false;
    for (const connection of [...this.#connections]) {
      if (connection.about.vhost === name) connection.force(`vhost '${name}' is deleted`);
    }
    vhost.clear();
    this.vhosts.delete(name);
    this.log.append({ kind: 'delete-entity', key: recordKey(recordKinds.vhost, name) });
    this.users.forgetVhost(name);
    await this.log.flushed();
    return true;
  }

  checkResources(): Promise<void> {
    return this.#alarms.look();
  }

  connections(): readonly ConnectionAbout[] {
    return Array.from(this.#connections, ({ about }) => about);
  }

  closeConnection(name: string, reason = closedText): boolean {
    const meant = [...this.#connections].find(({ about }) => about.name === name);
    meant?.force(reason);
    return meant !== undefined;
  }

  closeConnectionsOf(user: string, reason = closedText): number {
    const theirs = [...this.#connections].filter(({ userName }) => userName === user);
    for (const connection of theirs) connection.force(reason);
    return theirs.length;
  }

  durable(): Promise<void> {
    return this.log.flushed();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  nextQueueNumber(): number {
    return ++this.#queueNumberLast;
  }

  loggedIn(connection: Connection): void {
    this.#counted.add(connection);
  }

  opens(connection: Connection, user: User): void {
    const count = this.#perUser.get(user.name) ?? 0;
    if (this.#opened.size >= this.limits.connectionsMax) {
      throw limitReached('connectionsMax', this.limits.connectionsMax, { of: 'connections', reply: 'NOT_ALLOWED' });
    }
    const { connectionsPerUserMax } = this.limits;
    const own = user.limits?.['max-connections'] ?? Infinity;
    if (count >= own)
      throw new AmqpError('NOT_ALLOWED', `user '${user.name}' has all the connections it may have (${own})`);
    if (count >= connectionsPerUserMax) {
      const subject = { of: `connections of user '${user.name}'`, reply: 'NOT_ALLOWED' } as const;
      throw limitReached('connectionsPerUserMax', connectionsPerUserMax, subject);
    }
    this.#perUser.set(user.name, count + 1);
    this.#opened.add(connection);
  }

  channelOpens(connection: Connection): void {
    const { userName = '' } = connection;
    const most = this.users.get(userName)?.limits?.['max-channels'];
    if (most === undefined) return;
    let count = 0;
    for (const other of this.#connections) if (other.userName === userName) count += other.channelCount;
    if (count < most) return;
    throw new AmqpError('NOT_ALLOWED', `user '${userName}' has all the channels it may have (${most})`);
  }

  gone(connection: Connection): void {
    if (this.#connections.delete(connection)) this.counters.connectionsClosed++;
    const { userName = '' } = connection;
    this.#counted.delete(connection);
    if (this.#opened.delete(connection)) {
      const count = (this.#perUser.get(userName) ?? 0) - 1;
      if (count > 0) this.#perUser.set(userName, count);
      else this.#perUser.delete(userName);
    }
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  async #stop(): Promise<void> {
    await this.#making;
    this.#alarms.stop();
    const closing = [...this.#servers.keys()].map((server) => new Promise((resolve) => server.close(resolve)));
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      if (this.#connections.size === 0) resolve();
    });
    for (const connection of this.#connections) connection.force(stopText);
    await empty;
    await Promise.all(closing);
    for (const vhost of this.vhosts.values()) vhost.stopTimers();
    if (!this.log.hasFailed) await this.#lastCommit();
    await this.#store.close();
  }

  #lastCommit(): Promise<void> {
    this.log.append(markOfStop(this.vhosts.values()));
    return new Promise((resolve) => {
      this.#onNoRoom = resolve;
      this.log.whenDurable(this.log.ticketOfLast, resolve);
      this.#waitingForRoom?.timer.cancel();
      this.#waitingForRoom?.goOn();
    });
  }

  #fail(error: unknown): void {
    this.logger.error('the store failed; nothing is confirmed any more', { error });
    this.#alarms.stop();
    if (this.#onFatal === undefined) throw error;
    this.#onFatal(error);
  }

  /** A message that is not what was written is never served: the broker ends. */
  #read(place: MessagePlace): Buffer | undefined {
    try {
      return this.#store.read(place);
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  /** The disk is full: publishes stop, and what must be written gets the reserve, or waits. */
  #makeRoom(goOn: (() => void) | undefined): void {
    this.#alarms.diskIsFull();
    if (goOn === undefined) return;
    if (this.#diskReserve?.release() === true) return goOn();
    if (this.#stopping !== undefined) return this.#giveUpRoom();
    const timer = this.clock.after(this.limits.fullDiskRetryMs, goOn);
    this.#waitingForRoom = { timer, goOn };
  }

  /** The broker stops on a full disk: what waits for room was promised to nobody, and is as if it had not happened. */
  #giveUpRoom(): void {
    this.logger.warn('the disk is full: acknowledgements that found no room are forgotten');
    this.#onNoRoom?.();
  }

  #takeReserve(): void {
    try {
      this.#diskReserve?.take();
    } catch (error) {
      this.logger.warn('there is no room for the reserve of acknowledgements', { error });
    }
  }

  #isTooManyBeforeLogin(address: string): boolean {
    const { connectionsBeforeLoginMax, connectionsBeforeLoginPerAddressMax } = this.limits;
    if (this.#connections.size - this.#counted.size >= connectionsBeforeLoginMax) return true;
    if (isLoopback(address)) return false;
    let sameAddress = 0;
    for (const connection of this.#connections) {
      if (!connection.isLoggedIn && connection.address === address) sameAddress++;
    }
    return sameAddress >= connectionsBeforeLoginPerAddressMax;
  }

  #vhost(name: string): Vhost {
    const there = this.vhosts.get(name);
    if (there !== undefined) return there;
    const vhost = new Vhost(name, {
      clock: this.clock,
      random: this.random,
      logger: this.logger,
      log: this.log,
      pager: this.pager,
      bodies: this.bodies,
      read: (place) => this.#read(place),
      limits: this.limits,
      counters: this.counters,
      permitsTransientQueues: this.permits.has('transient_nonexcl_queues'),
      nextQueueNumber: () => this.nextQueueNumber(),
    });
    this.vhosts.set(name, vhost);
    return vhost;
  }

  #addVhost(name: string): void {
    this.#vhost(name);
    const key = recordKey(recordKinds.vhost, name);
    this.log.append({ kind: 'put-entity', key, value: JSON.stringify({ name }) });
  }

  #plainServer(): Server {
    return createServer(socketOptions, (socket: Socket) => this.accept(socket, socket.remoteAddress ?? 'unknown'));
  }

  /** A handshake that takes too long, or fails, ends its socket; the time for a login begins after it. */
  #tlsServer(identity: TlsIdentity): Server {
    const options = { ...socketOptions, ...tlsOptions(identity), handshakeTimeout: this.limits.loginMsMax };
    const server = createTlsServer(options, (socket) => {
      if (isImpostor(socket)) socket.destroy();
      else this.accept(socket, socket.remoteAddress ?? 'unknown', certificateName(socket));
    });
    server.on('tlsClientError', (error) => this.logger.info('a TLS handshake failed', { error }));
    return server;
  }

  /** A user whose password was changed from outside gets the new one; other users' rights stay as they are. */
  async #addFirstUser({ name, password, tags = [] }: FirstUser): Promise<void> {
    const isThere = this.users.get(name) !== undefined;
    if (isThere && (await this.users.login(name, password)) !== undefined) return;
    await this.users.put(name, { password, tags });
    const user = this.users.get(name);
    if (user !== undefined && !isThere) this.users.setPermissions(user, defaultVhost, everything);
  }
}

function resourcesOf(options: BrokerOptions): Resources {
  const { diskFreeBytes } = options;
  return {
    diskFreeBytes: () => Promise.resolve(diskFreeBytes?.()),
    memoryBytes: neededMemoryBytes,
  };
}
