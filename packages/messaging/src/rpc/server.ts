import { Background, hexId, type Logger, type Service, type Timer } from '@torcello/platform';
import type { Delivery, Topology } from '../driver.js';
import { limits } from '../limits.js';
import { IdTable } from '../transport/id-table.js';
import type { Subscription, Transport } from '../transport/transport.js';
import { DuplicateWindow } from './duplicate-window.js';
import { findMethod, type Endpoint } from './endpoint.js';
import { encodeFailure } from './failure.js';
import { diagnostics, type ServedEvent } from '../diagnostics.js';
import { runInScope } from './call-scope.js';
import { IncomingRequest } from './incoming-request.js';
import { ProgressSender } from './progress-sender.js';
import { ReplySender } from './reply-sender.js';
import type { ReplyAddress } from './request.js';
import { listenForSteering } from './steering.js';
import { answerOf } from './streamed-answer.js';
import { serverTopologies, type Target } from './target.js';

export interface RpcServerOptions {
  /** Requests handled at a time; more wait in the broker. Default 64. */
  readonly concurrency?: number;
  /**
   * `before` (default, oslo's way): a request is accepted just before its method runs, so a crash loses it and it never
   * runs twice. `after`: it is accepted when the answer is out, so a crash makes it run again.
   */
  readonly acknowledge?: 'before' | 'after';
  /** How long `stop` waits before it aborts the signals of running methods. Default 30 s. */
  readonly stopGraceMs?: number;
  readonly logger?: Logger;
}

/**
 * Serves methods on a topic under a server name: requests for any server of the topic, for this one, and for all of
 * them. `start` makes the queues and reads; `stop` takes nothing new, lets running methods end and their answers go out.
 * @throws INVALID_TARGET (from `start`) without topic and server.
 */
export function rpcServer(
  transport: Transport,
  target: Target,
  endpoints: readonly Endpoint[],
  options: RpcServerOptions = {},
): Service {
  return new Server(transport, { target, endpoints, options });
}

type Answer = { readonly result: unknown } | { readonly failure: string };

interface ServerSetting {
  readonly target: Target;
  readonly endpoints: readonly Endpoint[];
  readonly options: RpcServerOptions;
}

class Server implements Service {
  readonly #transport: Transport;
  readonly #setting: ServerSetting;
  readonly #logger: Logger;
  readonly #background: Background;
  readonly #concurrency: number;
  readonly #running = new IdTable<IncomingRequest>();
  readonly #waiting: IncomingRequest[] = [];
  readonly #seen = new DuplicateWindow();
  #active = 0;
  #sender: ReplySender;
  #fanout: Topology | undefined;
  readonly #subscriptions: Subscription[] = [];
  #changing: Promise<void> = Promise.resolve();
  #state: 'stopped' | 'serving' | 'stopping' = 'stopped';

  constructor(transport: Transport, setting: ServerSetting) {
    this.#transport = transport;
    this.#setting = setting;
    this.#logger = setting.options.logger ?? transport.logger;
    this.#concurrency = setting.options.concurrency ?? limits.rpcConcurrency;
    this.#sender = new ReplySender(transport);
    this.#background = new Background((what, error) =>
      this.#logger.error(what, { error, topic: setting.target.topic }),
    );
  }

  start(): Promise<void> {
    this.#changing = this.#changing.catch(() => undefined).then(() => this.#start());
    return this.#changing;
  }

  stop(): Promise<void> {
    this.#changing = this.#changing.catch(() => undefined).then(() => this.#stop());
    return this.#changing;
  }

  async #start(): Promise<void> {
    if (this.#state === 'serving') return;
    const topologies = serverTopologies(this.#setting.target, hexId(this.#transport.random));
    this.#sender = new ReplySender(this.#transport);
    this.#fanout = topologies[2];
    for (const topology of topologies) await this.#transport.ensure(topology);
    this.#state = 'serving';
    try {
      for (const topology of topologies) await this.#consume(topology);
    } catch (error) {
      await this.#stop();
      throw error;
    }
  }

  async #consume({ source }: Topology): Promise<void> {
    const onDelivery = (delivery: Delivery): void => this.#onDelivery(delivery);
    const subscription = await this.#transport.consume(source, { credit: this.#concurrency, onDelivery });
    this.#subscriptions.push(subscription);
  }

  async #stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'stopping';
    await Promise.all(this.#subscriptions.splice(0).map((subscription) => subscription.stop()));
    for (const { delivery } of this.#waiting.splice(0)) delivery.release();
    const { stopGraceMs = limits.stopGraceMs } = this.#setting.options;
    const grace: Timer = this.#transport.clock.after(stopGraceMs, () => this.#abortRunning());
    this.#sender.stop();
    await this.#background.settled();
    grace.cancel();
    await this.#deleteFanout();
    this.#state = 'stopped';
  }

  /** Its queue would go by itself, but only after half an hour. */
  async #deleteFanout(): Promise<void> {
    const { state, capabilities } = this.#transport;
    if (this.#fanout === undefined || state === 'closed' || !capabilities.administers) return;
    const deleting = this.#transport.delete(this.#fanout.source, { timeoutMs: limits.connectTimeoutMs });
    await deleting.catch((error: unknown) => this.#logger.debug('the fanout queue stays until it expires', { error }));
  }

  #abortRunning(): void {
    for (const incoming of this.#running.values()) incoming.abort('the server stops');
  }

  #onDelivery(delivery: Delivery): void {
    if (this.#state !== 'serving') return void delivery.release();
    const incoming = this.#decode(delivery);
    if (incoming === undefined) return;
    this.#waiting.push(incoming);
    this.#takeNext();
  }

  #takeNext(): void {
    while (this.#active < this.#concurrency && this.#state === 'serving') {
      const incoming = this.#waiting.shift();
      if (incoming === undefined) return;
      if (this.#isRepeat(incoming)) continue;
      // Its caller has given up: nobody wants the answer any more.
      if (incoming.remainingMs === 0) incoming.delivery.accept();
      else this.#take(incoming);
    }
  }

  #take(incoming: IncomingRequest): void {
    const { acknowledge = 'before' } = this.#setting.options;
    // Not ours any more: the broker gives it to somebody, perhaps to us.
    if (acknowledge === 'before' && !incoming.delivery.accept()) return;
    const { uniqueId } = incoming.request;
    const key = uniqueId ?? hexId(this.#transport.random);
    if (uniqueId !== undefined) this.#seen.add(uniqueId);
    this.#active += 1;
    this.#running.set(key, incoming);
    this.#background.run('a request could not be answered', () => this.#serve(incoming, key));
  }

  async #serve(incoming: IncomingRequest, key: string): Promise<void> {
    try {
      await this.#handle(incoming);
    } finally {
      incoming.close();
      if (this.#setting.options.acknowledge === 'after') incoming.delivery.accept();
      this.#running.delete(key);
      this.#freeSlot(incoming);
    }
  }

  /** Its place is free for the next one, once. */
  #freeSlot(incoming: IncomingRequest): void {
    if (incoming.hasSlot) this.#active -= 1;
    incoming.hasSlot = false;
    this.#takeNext();
  }

  #decode(delivery: Delivery): IncomingRequest | undefined {
    try {
      return new IncomingRequest(delivery, this.#transport.wire, this.#transport.clock);
    } catch (error) {
      this.#logger.warn('a request could not be read and was rejected', { error, ...delivery.destination });
      delivery.reject();
      return undefined;
    }
  }

  #isRepeat(incoming: IncomingRequest): boolean {
    const { uniqueId } = incoming.request;
    if (uniqueId === undefined) return false;
    const running = this.#running.get(uniqueId);
    if (running !== undefined && this.#setting.options.acknowledge === 'after') {
      // The connection was lost meanwhile and the broker handed it out anew: this copy is the one to settle.
      running.delivery = incoming.delivery;
      return true;
    }
    if (!this.#seen.has(uniqueId)) return false;
    incoming.delivery.accept();
    return true;
  }

  async #handle(incoming: IncomingRequest): Promise<void> {
    const { reply, method } = incoming.request;
    if (reply === undefined) return void (await this.#run(incoming));
    const steered = isToldOfTakeUp(reply) ? await this.#takeUp(incoming, reply) : undefined;
    if (incoming.isCancelled) return steered?.stop();
    if (reply.monitorMs !== undefined) incoming.beatEvery(() => this.#sender.beat(reply));
    const running = this.#run(incoming, steered?.progress);
    const answer = running instanceof Promise ? await running : running;
    if (steered !== undefined) {
      await steered.progress.flush();
      steered.stop();
    }
    incoming.close();
    if (incoming.isCancelled) return;
    let outcome = await this.#sender.send(reply, answer);
    if (outcome === 'missing') {
      // Its caller reconnects, perhaps: that must not keep others from being served.
      this.#freeSlot(incoming);
      outcome = (await this.#sender.keepTrying(reply, answer)) ? 'sent' : 'gone';
    }
    if (outcome !== 'sent') this.#logger.warn('nobody is there to read an answer', { method, queue: reply.queue });
  }

  /** Tells a caller that wants to know (`isToldOfTakeUp`); one that reads progress, or may cancel, hears where it can say so. */
  async #takeUp(
    incoming: IncomingRequest,
    reply: ReplyAddress,
  ): Promise<{ readonly progress: ProgressSender; readonly stop: () => void } | undefined> {
    if (reply.progressWindow === undefined) {
      if (reply.wantsAcceptance) await this.#sender.beat(reply, { isAccepted: true });
      return undefined;
    }
    const progress = new ProgressSender(reply, this.#sender, incoming.signal);
    const steering = await listenForSteering(this.#transport, reply.messageId, {
      onAllow: (total) => progress.allow(total),
      onCancel: () => incoming.cancel(),
    });
    await this.#sender.beat(reply, { isAccepted: true, steerAt: steering?.address });
    return { progress, stop: () => steering?.stop() };
  }

  /** Runs the method; its answer is there at once when the method gives one at once. */
  #run(incoming: IncomingRequest, progress?: ProgressSender): Answer | Promise<Answer> {
    const { request } = incoming;
    const startMs = this.#transport.clock.monotonicMs();
    const succeed = (result: unknown): Answer => {
      diagnostics.served(() => this.#servedEvent(incoming, startMs, false));
      return { result };
    };
    const fail = (error: unknown): Answer => {
      if (request.reply === undefined) this.#logger.warn('a cast failed', { error, method: request.method });
      diagnostics.served(() => this.#servedEvent(incoming, startMs, true));
      return { failure: encodeFailure(error) };
    };
    try {
      const method = findMethod(this.#setting.endpoints, request);
      const call = incoming.open(progress);
      const returned = runInScope(incoming.scope, () => answerOf(method(request.args, call), progress, call));
      return returned instanceof Promise ? returned.then(succeed, fail) : succeed(returned);
    } catch (error) {
      return fail(error);
    }
  }

  #servedEvent({ request, traceparent }: IncomingRequest, startMs: number, hasFailed: boolean): ServedEvent {
    const { topic, server } = this.#setting.target;
    const durationMs = this.#transport.clock.monotonicMs() - startMs;
    return {
      method: request.method,
      topic,
      server,
      isCast: request.reply === undefined,
      durationMs,
      hasFailed,
      traceparent,
    };
  }
}

/** Whether the caller wants to hear that its call was taken up. */
function isToldOfTakeUp(reply: ReplyAddress): boolean {
  return reply.wantsAcceptance || reply.progressWindow !== undefined;
}
