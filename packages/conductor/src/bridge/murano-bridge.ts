import { notifier, rpcClient, rpcServer } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import { sleep } from '@torcello/platform';
import type { Clock, Logger, Service } from '@torcello/platform';
import { environmentOfTask, readTask, resultOf, TaskRefused } from './murano-task.js';
import type { MuranoTask } from './murano-task.js';
import type { TorcelloApi } from './torcello-api.js';

export interface MuranoBridgeOptions {
  /** Murano's broker, with the flags that its exchanges and queues have. */
  readonly transport: Transport;
  readonly api: TorcelloApi;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Names this process among the engines. */
  readonly server: string;
}

const retryMs = 5_000;
const answerTimeoutMs = 30_000;
const tasksAtOnceMax = 20;

/**
 * Stands in the place of murano-engine: takes the tasks of a real murano-api, has them carried out by Torcello, and tells
 * the end in Murano's words. Each task ends with a result, whatever is wrong with it, so that no environment stays
 * "deploying"; it is accepted when murano-api has taken the result, so that a bridge that dies is followed by another.
 */
export class MuranoBridge implements Service {
  readonly #options: MuranoBridgeOptions;
  readonly #server: Service;
  readonly #stopping = new AbortController();
  readonly #handling = new Map<string, Promise<void>>();

  constructor(options: MuranoBridgeOptions) {
    this.#options = options;
    const { transport, logger, server } = options;
    this.#server = rpcServer(
      transport,
      { exchange: 'murano', topic: 'tasks', server },
      [{ methods: { handle_task: ({ task }) => this.#handle(task) } }],
      { acknowledge: 'after', concurrency: tasksAtOnceMax, stopGraceMs: 1_000, logger },
    );
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  /** Nothing more is done. The tasks go back to the broker when the transport is closed, which is the caller's to do next. */
  stop(): Promise<void> {
    this.#stopping.abort(new Error('the bridge stops'));
    return Promise.resolve();
  }

  async #handle(task: unknown): Promise<null> {
    const environmentId = environmentOfTask(task);
    if (environmentId === undefined) {
      this.#options.logger.error('a task names no environment, and nobody can be answered');
      return null;
    }
    // After a lost connection the same task comes again while it is being worked on.
    const handling = this.#handling.get(environmentId) ?? this.#work(environmentId, task);
    this.#handling.set(environmentId, handling);
    await handling.finally(() => this.#handling.delete(environmentId));
    return null;
  }

  async #work(environmentId: string, task: unknown): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      try {
        return await this.#end(environmentId, task, await this.#carryOut(environmentId, task));
      } catch (error) {
        // Not settled: a task that failed would be accepted, and this one is for the next bridge.
        if (signal.aborted) return await new Promise<void>(() => undefined);
        this.#options.logger.warn('a task waits, it is tried again', { environmentId, error });
        await sleep(this.#options.clock, retryMs, signal).catch(() => undefined);
      }
    }
  }

  /** Undefined for success, else why not. Rejects where trying again may help. */
  async #carryOut(environmentId: string, task: unknown): Promise<string | undefined> {
    try {
      const read = readTask(task, environmentId);
      return read.does === 'deploy' ? await this.#deploy(read) : await this.#destroy(read);
    } catch (error) {
      if (!(error instanceof TaskRefused)) throw error;
      return error.message;
    }
  }

  async #deploy({ environmentId, applications }: MuranoTask): Promise<string | undefined> {
    const { api } = this.#options;
    const environment = await api.environment(nameOf(environmentId));
    for (const line of await api.addMachines(environment, applications))
      await this.#report(environmentId, 'info', line);
    const deployment = await api.deploy(environment, applications);
    await this.#report(environmentId, 'info', `Torcello carries it out as deployment ${deployment}`);
    return api.ended(deployment, this.#stopping.signal);
  }

  async #destroy({ environmentId }: MuranoTask): Promise<string | undefined> {
    const { api } = this.#options;
    const deployment = await api.destroy(nameOf(environmentId));
    return deployment === undefined ? undefined : api.ended(deployment, this.#stopping.signal);
  }

  /** Murano-api answers when it has stored the result; until then it is sent again, and storing it twice does no harm. */
  async #end(environmentId: string, task: unknown, failure: string | undefined): Promise<void> {
    const { transport } = this.#options;
    const { signal } = this.#stopping;
    const { model = {} } = task as { readonly model?: Readonly<Record<string, unknown>> };
    const isDeleted = model['Objects'] === null || model['Objects'] === undefined;
    if (failure !== undefined) await this.#report(environmentId, 'error', failure);
    const results = rpcClient(transport, { exchange: 'murano', topic: 'results' });
    const result = resultOf({ environmentId, model }, failure, isDeleted);
    await results.call('process_result', result, { timeoutMs: answerTimeoutMs, signal });
  }

  async #report(environmentId: string, level: 'info' | 'error', text: string): Promise<void> {
    const { transport, clock, server } = this.#options;
    const timestamp = new Date(clock.now()).toISOString().replace('Z', '000');
    const payload = { id: environmentId, text, details: null, level, environment_id: environmentId, timestamp };
    // Murano sends all of them with the priority info; the level is inside.
    await notifier(transport, { publisherId: server, topics: ['murano'] }).info('murano.report_notification', payload);
  }
}

/** Torcello's environment for one of Murano's. */
function nameOf(environmentId: string): string {
  return `murano-${environmentId}`;
}
