import { isMessagingError, type Transport } from '@torcello/messaging';
import { Background, sleep, type Clock, type Logger, type Random, type Service } from '@torcello/platform';
import { AgentError } from '../errors.js';
import { readBootId } from '../processes.js';
import { Wake } from '../wake.js';
import type { MuranoSettings } from './agent-conf.js';
import { errorAnswer } from './answers.js';
import { muranoLimits } from './limits.js';
import { readPlans } from './plan-source.js';
import { PlanStore, type RunRecord } from './plan-store.js';
import { readPlan, type PlanFacts } from './read-plan.js';
import { findRunner, PythonMissing, runnerEnded, startRunner, type RunnerOptions } from './runner.js';
import { EngineKey } from './signature.js';

export interface MuranoAgentOptions {
  readonly settings: MuranoSettings;
  readonly connect: (signal: AbortSignal) => Promise<Transport>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly hostEnvironment: Readonly<Record<string, string>>;
  readonly onFatal: (error: AgentError) => void;
}

const answerRetryMs = 2_000;
const answerTimeoutMs = 30_000;

/**
 * An agent for a fleet that speaks Murano's plans (formats 2.0.0 to 2.2.0): one plan at a time, in the order in which
 * they came. A plan is on the disk before it is settled, and off it when its answer is with the broker; whatever ends
 * in between is gone on with by the next agent, so that every plan that can be answered is answered.
 */
export class MuranoAgent implements Service {
  readonly #options: MuranoAgentOptions;
  readonly #stopping = new AbortController();
  readonly #background: Background;
  readonly #work = new Wake();
  readonly #answers = new Wake();
  readonly #key: EngineKey | undefined;
  /** Plans that are stored and not yet settled with the broker. */
  readonly #unsettled = new Set<string>();
  readonly #room = new Wake();
  #transport: Transport | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: MuranoAgentOptions) {
    this.#options = options;
    const { engineKey } = options.settings;
    this.#key = engineKey === undefined ? undefined : new EngineKey(engineKey);
    this.#background = new Background((what, error) => this.#onFailure(what, error));
  }

  /** Resolves when the broker is there. What an earlier agent left goes on before that. */
  async start(): Promise<void> {
    const { settings, connect } = this.#options;
    const { signal } = this.#stopping;
    const store = await PlanStore.open(settings.storage);
    this.#background.run('plans', () => this.#runPlans(store));
    this.#transport = await connect(signal);
    const transport = this.#transport;
    this.#background.run('answers', () => this.#sendAnswers(store, transport));
    this.#background.run('queue', () => this.#readQueue(store, transport));
  }

  /** A plan that runs goes on, and its answer is sent by the next agent. */
  async stop(): Promise<void> {
    await (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    this.#stopping.abort(new Error('the agent stops'));
    for (const wake of [this.#work, this.#answers, this.#room]) wake.call();
    await this.#background.settled();
    await this.#transport?.close();
  }

  async #readQueue(store: PlanStore, transport: Transport): Promise<void> {
    const { settings, clock } = this.#options;
    const { signal } = this.#stopping;
    await readPlans({
      transport,
      queue: settings.inputQueue,
      signal,
      store: async (plan) => {
        while ((await store.keys()).length >= muranoLimits.plansWaitingMax.value)
          await this.#room.wait({ clock, signal });
        const key = await store.nextKey(clock.now());
        this.#unsettled.add(key);
        await store.put(key, plan);
        const settled = (): void => {
          this.#unsettled.delete(key);
          this.#work.call();
        };
        return { keep: settled, undo: () => store.remove(key).then(settled) };
      },
    });
  }

  async #runPlans(store: PlanStore): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const key = await this.#nextPlan(store);
      if (key === undefined) await this.#work.wait({ clock, signal });
      else await this.#carryOut(store, key);
    }
  }

  async #nextPlan(store: PlanStore): Promise<string | undefined> {
    for (const key of await store.keys()) {
      if (this.#unsettled.has(key)) return undefined;
      if ((await store.answer(key)) === undefined) return key;
    }
    return undefined;
  }

  async #carryOut(store: PlanStore, key: string): Promise<void> {
    const plan = await this.#take(store, key);
    if (plan === undefined) {
      await store.remove(key);
      return this.#room.call();
    }
    const earlier = await store.run(key);
    const ended = earlier === undefined ? undefined : await this.#followEarlier(store, key, { plan, earlier });
    if (ended !== true) await this.#begin(store, key, { plan, attempts: (earlier?.attempts ?? 0) + 1 });
    this.#answers.call();
  }

  /** Undefined: the plan is dropped without an answer, as murano-agent drops it. */
  async #take(store: PlanStore, key: string): Promise<PlanFacts | undefined> {
    const { settings, logger } = this.#options;
    const drop = (reason: string): undefined => {
      logger.warn('a plan was dropped', { key, reason });
    };
    const arrived = await store.plan(key);
    if (arrived === undefined) return drop('unreadable');
    if (this.#key?.isGood(settings.inputQueue, arrived.body, arrived.signature) === false) return drop('bad signature');
    const plan = readPlan(arrived);
    if (plan === undefined) return drop('no document');
    const wasBegun = (await store.run(key)) !== undefined;
    if (plan.stamp < 0) return plan;
    if (plan.stamp <= store.stamp && !wasBegun) return drop('old Stamp');
    // That it was begun is on record before the Stamp is: else a crash in between would drop it.
    if (!wasBegun) await store.putRun(key, { attempts: 0, bootId: await readBootId() });
    await store.raiseStamp(plan.stamp);
    return plan;
  }

  /** True when the plan has its answer. */
  async #followEarlier(
    store: PlanStore,
    key: string,
    begun: { readonly plan: PlanFacts; readonly earlier: RunRecord },
  ): Promise<boolean> {
    const { plan, earlier } = begun;
    if (earlier.attempts === 0) return false;
    const isSameBoot = earlier.bootId === (await readBootId());
    const process = isSameBoot ? (earlier.process ?? (await findRunner(store.file(key)))) : undefined;
    if (process !== undefined) await runnerEnded(process, this.#options.clock, this.#stopping.signal);
    if ((await store.answer(key)) !== undefined) return true;
    // Who sends plans without Stamp expects them to be run again.
    if (plan.stamp < 0 && earlier.attempts < muranoLimits.attemptsMax.value) return false;
    await this.#answerError(store, key, {
      plan,
      message: 'The plan was interrupted: its machine or its runner ended while it ran. It was not begun again',
      info: { reason: 'interrupted', attempts: earlier.attempts },
    });
    return true;
  }

  async #begin(
    store: PlanStore,
    key: string,
    begun: { readonly plan: PlanFacts; readonly attempts: number },
  ): Promise<void> {
    const { settings, clock, logger, hostEnvironment } = this.#options;
    const { plan, attempts } = begun;
    const { python, planSeconds, downloadBytesMax } = settings;
    const options: RunnerOptions = { python, planSeconds, downloadBytesMax, clock, hostEnvironment };
    const record = { attempts, bootId: await readBootId() };
    await store.putRun(key, record);
    try {
      const order = { plan, folder: store.file(key), filesFolder: store.filesFolder };
      const process = await startRunner(order, options);
      logger.info('a plan was begun', { key, attempts });
      if (process !== undefined) {
        await store.putRun(key, { ...record, process });
        await runnerEnded(process, clock, this.#stopping.signal);
      }
      if ((await store.answer(key)) !== undefined) return;
      const message = 'The plan was interrupted: its runner was ended from outside. It was not begun again';
      await this.#answerError(store, key, { plan, message, info: { reason: 'interrupted', attempts } });
    } catch (error) {
      if (!(error instanceof PythonMissing)) throw error;
      const message = `The plan needs Python to run its Body, and ${python} cannot be run on this machine: install python3`;
      await this.#answerError(store, key, { plan, message, info: { reason: 'python_missing' } });
    }
  }

  async #answerError(
    store: PlanStore,
    key: string,
    told: { readonly plan: PlanFacts; readonly message: string; readonly info: unknown },
  ): Promise<void> {
    const { plan, message, info } = told;
    const { id: sourceId, replyTo } = plan;
    await store.putAnswer(key, errorAnswer({ sourceId, message, info, replyTo }, this.#options));
  }

  async #sendAnswers(store: PlanStore, transport: Transport): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let hasFailed = false;
      for (const key of await store.keys()) {
        const text = await store.answer(key);
        if (text === undefined || signal.aborted) continue;
        const isOld = clock.now() - Number(key) / 10 > muranoLimits.answerKeptMs.value;
        const isSent = await this.#sendAnswer(transport, text, await store.plan(key));
        if (!isSent && isOld) logger.error('an answer found no queue for too long and is given up', { key });
        if (isSent || isOld) await store.remove(key).then(() => this.#room.call());
        else hasFailed = true;
      }
      if (hasFailed) await sleep(clock, answerRetryMs, signal).catch(() => undefined);
      else await this.#answers.wait({ clock, signal });
    }
  }

  /** False when it has to be tried again: no queue takes it, or the broker is away. */
  async #sendAnswer(
    transport: Transport,
    text: string,
    arrived: Parameters<typeof readPlan>[0] | undefined,
  ): Promise<boolean> {
    const { settings, logger } = this.#options;
    const replyTo = arrived === undefined ? undefined : readPlan(arrived)?.replyTo;
    const isDynamic = settings.usesReplyTo && typeof replyTo === 'string' && replyTo !== '';
    const { ReplyTo: _told, ...answer } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const body = isDynamic ? text.replace(/, "ReplyTo": "(?:[^"\\]|\\.)*"\}$/, '}') : text;
    const { SourceID: sourceId } = answer;
    try {
      await transport.publish(
        { exchange: settings.resultExchange, routingKey: isDynamic ? replyTo : settings.resultRoutingKey },
        {
          body: new TextEncoder().encode(body),
          properties: {
            messageId: String(sourceId),
            contentType: 'text/plain',
            contentEncoding: 'utf-8',
            priority: 0,
          },
          headers: {},
          persistent: true,
          ifNobody: 'fail',
        },
        { timeoutMs: answerTimeoutMs, resend: true, signal: this.#stopping.signal },
      );
      return true;
    } catch (error) {
      if (!isMessagingError(error)) throw error;
      logger.warn('an answer could not be sent', { sourceId, code: error.code });
      return false;
    }
  }

  #onFailure(what: string, error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    this.#options.logger.error('a part of the agent failed', { what, error });
    const isLogin = isMessagingError(error, 'LOGIN_REFUSED') || isMessagingError(error, 'ACCESS_REFUSED');
    this.#options.onFatal(
      new AgentError(isLogin ? 'LOGIN_REFUSED' : 'JOURNAL_FAILED', `the agent cannot go on: ${String(error)}`, error),
    );
  }
}
