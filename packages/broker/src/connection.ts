import type { Duplex } from 'node:stream';
import { EncodeError, FrameReader, FrameWriter, methodSpec, ProtocolError } from '@torcello/amqp091';
import type { Frame, Method, MethodName, MethodNamed, OutgoingContentMethod, OutgoingMethod } from '@torcello/amqp091';
import type { Timer } from '@torcello/platform';
import { Rights } from './access/rights.js';
import { mayEnter } from './access/users.js';
import type { User } from './access/users.js';
import { AmqpError, shortText } from './amqp-error.js';
import { limitReached } from './limit-reached.js';
import type { BrokerCore } from './broker-core.js';
import { Channel } from './channel.js';
import type { ChannelFrame } from './channel.js';
import type { ChannelConnection, ClientCapabilities, MethodPlace, OutgoingMessageBytes } from './channel-scope.js';
import { endsOf, shownProperties } from './connection-about.js';
import type { ConnectionAbout, StreamEnds } from './connection-about.js';
import { agreeOn, clientCapabilities, startMethod, tuneMethod } from './handshake.js';
import { Heartbeat } from './heartbeat.js';
import { isLoopback } from './loopback.js';
import { externalMechanism, readCredentials } from './sasl.js';
import type { Vhost } from './vhost.js';

/** What a connection asks its broker about admission. */
export interface Admission {
  /** The client is no stranger any more. */
  loggedIn(connection: Connection): void;
  /** @throws NOT_ALLOWED when the broker, or the user, has all the connections it may have. */
  opens(connection: Connection, user: User): void;
  /** @throws NOT_ALLOWED when the user has all the channels it may have. */
  channelOpens(connection: Connection): void;
  /** Called once, when nothing of the connection is left. */
  gone(connection: Connection): void;
}

type State = 'header' | 'start' | 'login' | 'tune' | 'open' | 'running' | 'closing' | 'closed';

const slabBytes = 16 * 1024;
/** Time for the other side to answer `connection.close`, in milliseconds. */
const closeMsMax = 3_000;
/** Time for a client to end the stream after its `connection.close` was answered, in milliseconds. */
const lingerMsMax = 100;
/** Time that one connection may take before others get their turn, in milliseconds: alone, and where others wait already. */
const sliceMs = { alone: 5, shared: 2 };
/** So many frames after one another nobody looks at the clock. */
const sliceFrames = 8;
const noCapabilities: ClientCapabilities = {
  consumerCancelNotify: false,
  connectionBlocked: false,
  authenticationFailureClose: false,
};
const nothing = Buffer.alloc(0);
const noMethod: MethodPlace = { classId: 0, methodId: 0 };
const guestName = 'guest';

/**
 * One client on one stream of bytes: handshake, login, channels, heartbeats, and the end. It does not know what carries
 * the stream. Output is gathered and written once a turn of the event loop.
 */
export class Connection implements ChannelConnection {
  readonly core: BrokerCore;
  readonly address: string;
  /** Whom the client's certificate names; undefined when it showed none. */
  readonly certificateName: string | undefined;
  readonly #stream: Duplex;
  readonly #admission: Admission;
  readonly #reader: FrameReader;
  readonly #writer = new FrameWriter({ slabBytes });
  readonly #channels = new Map<number, Channel>();
  #confirming = new Set<{ tellConfirms(): void }>();
  #state: State = 'header';
  #user: User | undefined;
  #clientProperties: ConnectionAbout['clientProperties'] = {};
  readonly #ends: StreamEnds;
  readonly #openedAtMs: number;
  #capabilities = noCapabilities;
  #channelsMax = 0;
  #vhost: Vhost | undefined;
  #rights: Rights | undefined;
  #heartbeat: Heartbeat | undefined;
  #deadline: Timer | undefined;
  #isReading = true;
  #awaitsTurn = false;
  /** A publish that waits for memory or disk, and everything behind it. */
  #heldPublish: Frame | undefined;
  #isStarved = false;
  /** Its client does not read its answers, so that nothing is read from it either. */
  #isUnread = false;
  #readAtMs: number;
  #writtenAtMs: number;

  constructor(
    core: BrokerCore,
    stream: Duplex,
    options: {
      readonly address: string;
      /** Tells pipes apart. */
      readonly number: number;
      readonly certificateName: string | undefined;
      readonly admission: Admission;
    },
  ) {
    this.core = core;
    this.address = options.address;
    this.certificateName = options.certificateName;
    this.#stream = stream;
    this.#admission = options.admission;
    this.#ends = endsOf(stream, options.address, options.number);
    this.#openedAtMs = core.clock.now();
    this.#readAtMs = this.#writtenAtMs = core.clock.monotonicMs();
    const { frameSizeBeforeLoginBytesMax } = core.limits;
    this.#reader = new FrameReader({
      role: 'server',
      frameSizeBytesMax: frameSizeBeforeLoginBytesMax,
      keepTypes: true,
    });
    this.#deadline = core.clock.after(core.limits.loginMsMax, () => this.#drop('the login took too long'));
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('drain', () => this.#serveStarved());
    stream.on('error', (error) => this.#drop(error.message));
    stream.on('close', () => this.#drop('the client closed the stream'));
    stream.on('end', () => this.#drop('the client ended the stream'));
  }

  get vhost(): Vhost {
    if (this.#vhost === undefined) throw new TypeError('the connection has not opened a virtual host');
    return this.#vhost;
  }
  get rights(): Rights {
    if (this.#rights === undefined) throw new TypeError('the connection has not opened a virtual host');
    return this.#rights;
  }
  get capabilities(): ClientCapabilities {
    return this.#capabilities;
  }
  get userName(): string | undefined {
    return this.#user?.name;
  }
  /** Name, user, virtual host and channels, for people. */
  get about(): ConnectionAbout {
    return {
      ...this.#ends,
      user: this.userName,
      vhost: this.#vhost?.name,
      state: this.#heldPublish === undefined ? this.#state : 'blocked',
      openedAtMs: this.#openedAtMs,
      clientProperties: this.#clientProperties,
      channels: Array.from(this.#channels.values(), ({ about }) => about),
    };
  }
  get channelCount(): number {
    return this.#channels.size;
  }
  get isLoggedIn(): boolean {
    return this.#user !== undefined;
  }

  get hasRoom(): boolean {
    const waiting = this.#stream.writableLength + this.#writer.byteLength;
    if (this.#state === 'running' && waiting < this.core.limits.outboundBytesMax) return true;
    this.#isStarved = true;
    return false;
  }

  send(channel: number, method: OutgoingMethod): void {
    if (this.#state === 'closed') return;
    this.#writer.method(channel, method);
    this.core.flusher.add(this);
  }

  sendContent(channel: number, method: OutgoingContentMethod, content: OutgoingMessageBytes): void {
    if (this.#state === 'closed') return;
    try {
      this.#writer.content(channel, method, content);
    } catch (error) {
      if (!(error instanceof EncodeError)) throw error;
      queueMicrotask(() => this.fail(new AmqpError('FRAME_ERROR', error.message), noMethod));
    }
    this.core.flusher.add(this);
  }

  confirmsWait(channel: { tellConfirms(): void }): void {
    this.#confirming.add(channel);
    this.core.flusher.add(this);
  }

  /** Writes what the turn has gathered. */
  flush(): void {
    if (this.#state === 'closed') return;
    const confirming = this.#confirming;
    if (confirming.size > 0) {
      this.#confirming = new Set();
      for (const channel of confirming) channel.tellConfirms();
    }
    const chunks = this.#writer.take();
    if (chunks.length === 0) return;
    this.#writtenAtMs = this.core.clock.monotonicMs();
    if (chunks.length > 1) this.#stream.cork();
    for (const chunk of chunks) this.#stream.write(chunk);
    if (chunks.length > 1) this.#stream.uncork();
    this.#serveStarved();
  }

  backlogIsFull(): void {
    this.#isReading = false;
    this.#stream.pause();
  }

  resumed(): void {
    if (this.#isReading || this.#heldPublish !== undefined) return;
    this.#isReading = true;
    this.#goOn();
  }

  takeTurn(): void {
    this.#awaitsTurn = false;
    this.#goOn();
    this.#waitForDisk();
  }

  channelEnded(channel: number): void {
    if (this.#channels.delete(channel)) this.core.counters.channelsClosed++;
  }

  /** The broker's publishers must pause, or may go on. */
  tellBlocked(reason: string | undefined): void {
    if (this.#state !== 'running') return;
    const isTold = this.#capabilities.connectionBlocked;
    if (isTold && reason !== undefined) this.send(0, { name: 'connection.blocked', reason: shortText(reason) });
    if (isTold && reason === undefined) this.send(0, { name: 'connection.unblocked' });
    if (reason === undefined) this.#publishHeld();
  }

  /** While there is no room for publishes a connection that publishes is not read, as on RabbitMQ: nothing of it is lost. */
  #hold(publish: Frame): void {
    this.#heldPublish = publish;
    this.backlogIsFull();
  }

  #publishHeld(): void {
    const publish = this.#heldPublish;
    if (publish === undefined) return;
    this.#heldPublish = undefined;
    try {
      this.#handle(publish);
    } catch (error) {
      this.#failFrom(error);
    }
    this.resumed();
  }

  /** Ends the connection with `connection.close` and waits a little for the answer. */
  fail(error: AmqpError, at: MethodPlace): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    const fields = {
      address: this.address,
      user: this.userName,
      connection: this.#clientProperties['connection_name'],
      reply: error.replyText,
    };
    this.core.logger.warn('a connection was closed for an error', fields);
    const { replyCode } = error;
    const replyText = shortText(error.replyText);
    this.send(0, { name: 'connection.close', replyCode, replyText, classId: at.classId, methodId: at.methodId });
    this.#state = 'closing';
    this.#release();
    this.#heldPublish = undefined;
    this.resumed();
    this.#deadline = this.core.clock.after(closeMsMax, () => this.#drop('connection.close was not answered'));
  }

  /** Ends the connection because the broker stops or an administrator wants it. */
  force(text: string): void {
    if (this.#state === 'running') this.fail(new AmqpError('CONNECTION_FORCED', text), noMethod);
    else this.#drop(text);
  }

  #receive(chunk: Buffer): void {
    this.#readAtMs = this.core.clock.monotonicMs();
    if (this.#state === 'closed') return;
    this.#reader.push(chunk);
    this.#handleFrames();
    this.#waitForDisk();
  }

  /** Who publishes faster than the disk writes is not read until it has caught up. */
  #waitForDisk(): void {
    const { log, limits } = this.core;
    if (log.waitingBytes < limits.uncommittedBytesMax || !this.#isReading) return;
    this.backlogIsFull();
    log.whenDurable(log.ticketOfLast, () => this.resumed());
  }

  #goOn(): void {
    this.#handleFrames();
    if (!this.#isListening) return;
    this.#readAtMs = this.core.clock.monotonicMs();
    this.#stream.resume();
  }

  get #isListening(): boolean {
    return this.#isReading && !this.#awaitsTurn;
  }

  /** A few bytes can mean much work, as a publish that reaches a thousand queues does: no connection works longer than a slice. */
  #handleFrames(): void {
    const { clock, turns, limits } = this.core;
    const untilMs = clock.monotonicMs() + (turns.isIdle ? sliceMs.alone : sliceMs.shared);
    const outputMax = limits.unreadBytesMax - this.#stream.writableLength;
    try {
      for (let count = 1; this.#mayHandle; count++) {
        if (this.#writer.byteLength > outputMax) return this.#waitForReader();
        const frame = this.#reader.next();
        if (frame === undefined) return;
        if (this.#mustWait(frame)) return this.#hold(frame);
        this.#handle(frame);
        if (count % sliceFrames === 0 && clock.monotonicMs() >= untilMs) return this.#awaitTurn();
      }
    } catch (error) {
      this.#failFrom(error);
    }
  }

  /** Who asks, and does not read the answers, is not heard until it has. Its silence counts from now on. */
  #waitForReader(): void {
    this.#isUnread = true;
    this.backlogIsFull();
    this.flush();
    this.#stream.write(nothing, () => this.#wasRead());
  }

  /** What waited for its client has gone. */
  #wasRead(): void {
    if (!this.#isUnread) return;
    this.#isUnread = false;
    this.resumed();
  }

  #mustWait(frame: Frame): boolean {
    if (this.core.blockedReason === undefined || this.#state !== 'running') return false;
    return frame.type === 'method' && frame.method.name === 'basic.publish';
  }

  get #mayHandle(): boolean {
    return this.#isListening && this.#state !== 'login' && this.#state !== 'closed';
  }

  #awaitTurn(): void {
    if (this.#state === 'closed') return;
    this.#awaitsTurn = true;
    this.#stream.pause();
    this.core.turns.add(this);
  }

  #failFrom(error: unknown): void {
    if (error instanceof AmqpError) return this.fail(error, noMethod);
    if (error instanceof ProtocolError) {
      const text = error.message.slice(error.replyName.length + ' - '.length);
      if (this.#state === 'header' || this.#state === 'start') return this.#drop(error.message);
      return this.fail(new AmqpError(error.replyName, text, 'connection'), error);
    }
    this.core.logger.error('a connection failed inside the broker', { address: this.address, error });
    this.fail(new AmqpError('INTERNAL_ERROR', 'the broker failed here'), noMethod);
  }

  #handle(frame: Frame): void {
    switch (frame.type) {
      case 'protocolHeader':
        return this.#greet(frame.isSupported);
      case 'heartbeat':
        return;
      case 'method':
        if (frame.channel === 0) return this.#control(frame.method);
        return this.#toChannel(frame);
      default:
        return this.#toChannel(frame);
    }
  }

  /** A client of another version learns which one is spoken here (AMQP 0-9-1 §4.2.2). */
  #greet(isSupported: boolean): void {
    if (!isSupported) {
      this.#writer.protocolHeader();
      this.flush();
      return this.#drop(undefined);
    }
    this.#state = 'start';
    const { asRabbitMq } = this.core;
    this.send(0, startMethod({ hasCertificate: this.certificateName !== undefined, asRabbitMq }));
  }

  #toChannel(frame: ChannelFrame): void {
    if (this.#state === 'closing') return;
    if (this.#state !== 'running') throw new AmqpError('CHANNEL_ERROR', 'a channel before connection.open-ok');
    const channel = this.#channels.get(frame.channel);
    if (frame.type === 'method' && frame.method.name === 'channel.open') {
      return this.#try('channel.open', () => this.#openChannel(frame.channel));
    }
    if (channel !== undefined) return channel.receive(frame);
    throw new AmqpError('CHANNEL_ERROR', `expected 'channel.open' on channel ${frame.channel}`);
  }

  /** A refusal names the method that it is about. */
  #try(method: MethodName, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error;
      this.fail(error, methodSpec(method));
    }
  }

  #openChannel(number: number): void {
    if (this.#channels.has(number)) throw new AmqpError('CHANNEL_ERROR', `second 'channel.open' on channel ${number}`);
    if (this.#channels.size >= this.#channelsMax) throw this.#tooManyChannels();
    this.#admission.channelOpens(this);
    this.#channels.set(number, new Channel(number, this));
    this.core.counters.channelsOpened++;
    this.send(number, { name: 'channel.open-ok' });
  }

  /** Channels are counted, and may bear any number, as on RabbitMQ. */
  #tooManyChannels(): AmqpError {
    const { channelsPerConnectionMax } = this.core.limits;
    const most = this.#channelsMax;
    if (most < channelsPerConnectionMax) {
      return new AmqpError(
        'NOT_ALLOWED',
        `number of channels opened (${most}) has reached the negotiated channel_max (${most})`,
      );
    }
    return limitReached('channelsPerConnectionMax', most, { of: 'channels of one connection', reply: 'NOT_ALLOWED' });
  }

  #control(method: Method): void {
    const { name } = method;
    if (name === 'connection.close-ok') return this.#drop(undefined);
    if (name === 'connection.close') return this.#closeByClient();
    if (this.#state === 'closing') return;
    if (name === 'connection.start-ok' && this.#state === 'start') return this.#login(method);
    if (name === 'connection.tune-ok' && this.#state === 'tune') return this.#tune(method);
    if (name === 'connection.open' && this.#state === 'open') return this.#open(method);
    if (name === 'connection.update-secret' && this.#state === 'running') {
      return this.send(0, { name: 'connection.update-secret-ok' });
    }
    const error = new AmqpError('COMMAND_INVALID', `${name} in state '${this.#state}'`);
    this.fail(error, methodSpec(name));
  }

  #login(method: MethodNamed<'connection.start-ok'>): void {
    this.#capabilities = clientCapabilities(method.clientProperties);
    this.#clientProperties = shownProperties(method.clientProperties);
    this.#state = 'login';
    this.#check(method).then(
      () => this.#handleFrames(),
      (error: unknown) => this.#failFrom(error),
    );
  }

  async #check(method: MethodNamed<'connection.start-ok'>): Promise<void> {
    const { mechanism } = method;
    const { name, user } = await this.#whoIs(method);
    if (this.#state !== 'login') return;
    if (user === undefined) return this.#refuseLogin(mechanism, name);
    this.#user = user;
    this.#state = 'tune';
    this.#admission.loggedIn(this);
    this.#reader.frameSizeBytesMax = this.core.limits.frameSizeBytesMax;
    this.send(0, tuneMethod(this.core.limits));
  }

  /** A certificate that was proved is as good as a password (EXTERNAL). The user guest comes from this machine only. */
  async #whoIs({
    mechanism,
    response,
  }: MethodNamed<'connection.start-ok'>): Promise<{ name: string; user: User | undefined }> {
    const { users } = this.core;
    const { certificateName } = this;
    if (mechanism === externalMechanism && certificateName !== undefined) {
      return { name: certificateName, user: users.get(certificateName) };
    }
    const { user: name, password } = readCredentials(mechanism, response);
    if (name === guestName && !isLoopback(this.address)) return { name, user: undefined };
    return { name, user: await users.login(name, password) };
  }

  /** A client that cannot be told why is dropped, as the specification wants it. */
  #refuseLogin(mechanism: string, user: string): void {
    this.core.counters.loginsRefused++;
    this.core.logger.warn('a login was refused', { address: this.address, user: user.slice(0, 100), mechanism });
    if (!this.#capabilities.authenticationFailureClose) return this.#drop('login refused');
    this.fail(
      new AmqpError('ACCESS_REFUSED', `Login was refused using authentication mechanism ${mechanism}`),
      noMethod,
    );
  }

  #tune(method: MethodNamed<'connection.tune-ok'>): void {
    const tuning = agreeOn(this.core.limits, method);
    this.#channelsMax = tuning.channelsMax;
    this.#reader.frameSizeBytesMax = tuning.frameSizeBytesMax;
    this.#writer.frameSizeBytesMax = tuning.frameSizeBytesMax;
    this.#state = 'open';
    if (tuning.heartbeatMs > 0) this.#startHeartbeat(tuning.heartbeatMs);
  }

  #startHeartbeat(agreedMs: number): void {
    const { clock, limits } = this.core;
    const interval = { agreedMs, leastMs: limits.heartbeatMsMin };
    this.#heartbeat = new Heartbeat(clock, interval, {
      // Who is not read for the sake of disk or memory, or for another one's turn, cannot be heard.
      readAtMs: () => (this.#isListening || this.#isUnread ? this.#readAtMs : clock.monotonicMs()),
      writtenAtMs: () => this.#writtenAtMs,
      sendHeartbeat: () => {
        this.#writer.heartbeat();
        this.core.flusher.add(this);
      },
      onSilence: () => this.#drop('no heartbeat came for two intervals'),
    });
  }

  #open(method: MethodNamed<'connection.open'>): void {
    const user = this.#user;
    const vhost = this.core.vhosts.get(method.virtualHost);
    if (user === undefined || vhost === undefined) {
      throw new AmqpError('NOT_ALLOWED', `vhost ${method.virtualHost} not found`);
    }
    if (!mayEnter(user, vhost.name)) {
      throw new AmqpError('NOT_ALLOWED', `access to vhost '${vhost.name}' refused for user '${user.name}'`);
    }
    this.#admission.opens(this, user);
    this.#vhost = vhost;
    this.#rights = new Rights(this.core.users, user, vhost.name);
    this.#state = 'running';
    this.#deadline?.cancel();
    this.send(0, { name: 'connection.open-ok' });
    if (this.core.blockedReason !== undefined) this.tellBlocked(this.core.blockedReason);
  }

  /** The client ends the stream, as it was the one who wanted to go; one that forgets to is helped after a while. */
  #closeByClient(): void {
    this.send(0, { name: 'connection.close-ok' });
    this.flush();
    this.#state = 'closed';
    this.#release();
    const end = (): void => {
      deadline.cancel();
      this.#stream.removeListener('end', end).removeListener('close', end);
      this.#endStream();
    };
    const deadline = this.core.clock.after(lingerMsMax, end);
    this.#stream.once('end', end).once('close', end);
    this.#stream.resume();
    this.#admission.gone(this);
  }

  /** Ends everything. Without a reason it is an orderly end: what was written still goes out. */
  #drop(why: string | undefined): void {
    if (this.#state === 'closed') return;
    if (why !== undefined && this.#state === 'running') {
      const fields = {
        address: this.address,
        user: this.userName,
        connection: this.#clientProperties['connection_name'],
        why,
      };
      this.core.logger.info('a connection was lost', fields);
    }
    this.#state = 'closed';
    this.#release();
    if (why === undefined) this.#endStream();
    else this.#stream.destroy();
    this.#admission.gone(this);
  }

  #endStream(): void {
    const deadline = this.core.clock.after(closeMsMax, () => this.#stream.destroy());
    this.#stream.end(() => {
      deadline.cancel();
      this.#stream.destroy();
    });
  }

  #release(): void {
    this.#heartbeat?.stop();
    this.#deadline?.cancel();
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    this.core.counters.channelsClosed += channels.length;
    for (const channel of channels) channel.release();
    for (const queue of this.#vhost?.queuesOf(this) ?? []) this.#vhost?.deleteQueue(queue);
  }

  #serveStarved(): void {
    if (!this.#isStarved || !this.hasRoom) return;
    this.#isStarved = false;
    for (const channel of this.#channels.values()) {
      for (const consumer of channel.consumers.values()) consumer.queue.dispatch();
    }
  }
}
