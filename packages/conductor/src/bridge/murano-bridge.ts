import { createHash } from 'node:crypto';
import { isMessagingError, notifier, RemoteFailure, rpcClient, rpcServer } from '@torcello/messaging';
import type { RemoteErrorDetails, Transport } from '@torcello/messaging';
import { sleep } from '@torcello/platform';
import type { Clock, Logger, Service } from '@torcello/platform';
import { environmentOfTask, readTask, resultOf, TaskRefused } from './murano-task.js';
import type { MuranoTask, TaskEnd } from './murano-task.js';
import type { TorcelloApi } from './torcello-api.js';

export interface MuranoBridgeOptions {
  /** Murano's broker, with the flags that its exchanges and queues have. */
  readonly transport: Transport;
  /** Torcello's API, asked for one task. */
  readonly api: (task: string) => TorcelloApi;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Names this process among the engines. */
  readonly server: string;
}

/** One task in our hands. */
interface Handled {
  readonly environmentId: string;
  /** The same when the broker hands it out again. */
  readonly key: string;
  readonly task: unknown;
  readonly api: TorcelloApi;
}

const retryMs = 5_000;
const answerTimeoutMs = 30_000;
const tasksAtOnceMax = 20;

/**
 * Stands in the place of murano-engine: takes the tasks of a real murano-api, has them carried out by Torcello, and tells
 * the end in Murano's words. Each task ends with a result, whatever is wrong with it, so that no environment stays
 * "deploying"; it is accepted when murano-api has taken the result, so that a bridge that dies is followed by another,
 * which finds what the first one began or ended.
 */
export class MuranoBridge implements Service {
  readonly #options: MuranoBridgeOptions;
  readonly #server: Service;
  readonly #stopping = new AbortController();
  /** The task that came last, by environment: murano-api waits for no other. */
  readonly #newest = new Map<string, string>();

  constructor(options: MuranoBridgeOptions) {
    this.#options = options;
    const { transport, logger, server } = options;
    const methods = {
      handle_task: ({ task }: Readonly<Record<string, unknown>>, { uniqueId }: { uniqueId: string | undefined }) =>
        this.#handle(task, uniqueId),
      generate_schema: (args: Readonly<Record<string, unknown>>) => this.#schema(args),
      call_static_action: ({ task }: Readonly<Record<string, unknown>>) => refuseStaticAction(task),
    };
    this.#server = rpcServer(transport, { exchange: 'murano', topic: 'tasks', server }, [{ methods }], {
      acknowledge: 'after',
      concurrency: tasksAtOnceMax,
      stopGraceMs: 1_000,
      logger,
    });
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  /** Nothing more is done. The tasks go back to the broker when the transport is closed, which is the caller's to do next. */
  stop(): Promise<void> {
    this.#stopping.abort(new Error('the bridge stops'));
    return Promise.resolve();
  }

  async #handle(task: unknown, uniqueId: string | undefined): Promise<null> {
    const environmentId = environmentOfTask(task);
    if (environmentId === undefined) {
      this.#options.logger.error('a task names no environment, and nobody can be answered');
      return null;
    }
    const digest = createHash('sha256').update(uniqueId ?? JSON.stringify(task));
    const key = digest.digest('hex').slice(0, 32);
    this.#newest.set(environmentId, key);
    await this.#work({ environmentId, key, task, api: this.#options.api(key) });
    if (this.#newest.get(environmentId) === key) this.#newest.delete(environmentId);
    return null;
  }

  async #work(handled: Handled): Promise<void> {
    const { environmentId } = handled;
    const end = await this.#untilDone(environmentId, () => this.#carryOut(handled));
    const { failure } = end;
    if (failure !== undefined)
      await this.#untilDone(environmentId, () => this.#report(environmentId, 'error', failure));
    await this.#untilDone(environmentId, () => this.#end(handled, end));
  }

  async #untilDone<T>(environmentId: string, work: () => Promise<T>): Promise<T> {
    const { signal } = this.#stopping;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        // Not settled: a task that failed would be accepted, and this one is for the next bridge.
        if (signal.aborted) return await new Promise<T>(() => undefined);
        this.#options.logger.warn('a task waits, it is tried again', { environmentId, error });
        await sleep(this.#options.clock, retryMs, signal).catch(() => undefined);
      }
    }
  }

  /** Rejects where trying again may help. */
  async #carryOut(handled: Handled): Promise<TaskEnd> {
    let wasTried = false;
    try {
      const read = readTask(handled.task, handled.environmentId);
      wasTried = true;
      const failure = read.does === 'deploy' ? await this.#deploy(handled, read) : await this.#destroy(handled);
      return failure === undefined ? { wasTried } : { failure, wasTried };
    } catch (error) {
      if (!(error instanceof TaskRefused)) throw error;
      return { failure: error.message, wasTried };
    }
  }

  async #deploy({ environmentId, api }: Handled, { applications }: MuranoTask): Promise<string | undefined> {
    const { signal } = this.#stopping;
    const environment = await api.environment(nameOf(environmentId));
    const earlier = await api.deployed(environment);
    if (earlier !== undefined) return api.ended(earlier, signal);
    for (const line of await api.addMachines(environment, applications))
      await this.#report(environmentId, 'info', line);
    const deployment = await api.deploy(environment, applications, signal);
    await this.#report(environmentId, 'info', `Torcello carries it out as deployment ${deployment}`);
    return api.ended(deployment, signal);
  }

  async #destroy({ environmentId, api }: Handled): Promise<string | undefined> {
    const { signal } = this.#stopping;
    const deployment = await api.destroy(nameOf(environmentId), signal);
    return deployment === undefined ? undefined : api.ended(deployment, signal);
  }

  /**
   * Murano-api answers when it has stored the result; until then it is sent again. Stored once, it is a session that is not
   * deploying any more, over which murano-api stumbles: that too says that it is there.
   */
  async #end({ environmentId, key, task }: Handled, end: TaskEnd): Promise<void> {
    const { transport, logger } = this.#options;
    const { signal } = this.#stopping;
    // Another task of the environment exists only after the result of this one, which must not become that one's.
    if (this.#newest.get(environmentId) !== key)
      return logger.info('a task is over for murano-api, which has sent another one', { environmentId });
    const results = rpcClient(transport, { exchange: 'murano', topic: 'results' });
    try {
      const result = resultOf(environmentId, task, end);
      await results.call('process_result', result, { timeoutMs: answerTimeoutMs, signal });
    } catch (error) {
      if (!isStoredAlready(error)) throw error;
      logger.info('murano-api has the result of a task already', { environmentId });
    }
  }

  async #schema(args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const { class_name: name, method_names: methods } = args;
    const isOfMethods = Array.isArray(methods) && methods.length > 0;
    const schema = isOfMethods ? undefined : await this.#options.api('schema').schema(String(name));
    if (schema !== undefined) return schema;
    throw notThere('NoClassFound', `Torcello knows no class ${String(name)}${isOfMethods ? ' with methods' : ''}`);
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

/** `ResultEndpoint.process_result` looks for the session that is deploying and does not mind that there may be none. */
function isStoredAlready(error: unknown): boolean {
  if (!isMessagingError(error, 'REMOTE_ERROR')) return false;
  return (error.details as unknown as RemoteErrorDetails).class === 'AttributeError';
}

function refuseStaticAction(task: unknown): never {
  const { action = {} } = (task ?? {}) as { readonly action?: Readonly<Record<string, unknown>> };
  const [name, method] = [String(action['class_name']), String(action['method'])];
  throw notThere('NoMethodFound', `the static action ${name}.${method} is MuranoPL, which is not run here`);
}

/** What murano-api answers as 404. */
function notThere(kind: 'NoClassFound' | 'NoMethodFound', message: string): RemoteFailure {
  return new RemoteFailure({ class: kind, module: 'murano.dsl.exceptions', message });
}
