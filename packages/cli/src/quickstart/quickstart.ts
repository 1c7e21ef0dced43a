import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { sleep } from '@torcello/platform';
import { ApiClient } from '../client/api-client.js';
import { HttpClient } from '../client/http.js';
import { CliError } from '../cli-error.js';
import type { CliContext } from '../context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { planTable } from '../output/deployment-text.js';
import { plainEnvironment, startControlPlane, stopControlPlane, type ControlPlane } from '../plant/control-plane.js';
import { ownBin } from '../plant/program-bins.js';
import { openDataFolder, type DataFolderFiles } from '../plant/data-folder.js';
import { tellError } from '../run-command-line.js';
import { lastLines } from '../supervisor/log-tail.js';
import type { ChildEvent } from '../supervisor/supervised-child.js';
import { Supervisor } from '../supervisor/supervisor.js';
import { deploymentEvents } from '../watch/deployment-events.js';
import { planDisplay } from '../watch/plan-display.js';
import { endLeftovers } from './leftovers.js';
import { tellStory, type StoryRecord } from './story.js';
import { planTimes, type QuickstartSummary } from './summary.js';

export interface QuickstartOptions {
  /** The clone: where the examples are and where the data folder is made. */
  readonly root: string;
  /** End by itself after the check. */
  readonly isOnce: boolean;
  /** Print the summary as the last line of stdout; everything else goes to stderr. */
  readonly isJson: boolean;
  /** For everything up to the check of the deployed application. */
  readonly timeoutMs: number;
  /** A broker that runs already; undefined: the embedded one. */
  readonly transport: string | undefined;
}

interface Plant {
  readonly client: ApiClient;
  readonly plane: ControlPlane;
}

const apiPatienceMs = 15_000;
/** Short, so that a conductor that is killed while somebody tries things out is taken over soon. */
const quickstartLeaseMs = 10_000;
const destroyMsMax = 20_000;
const logLinesShown = 3;
const loopback = { host: '127.0.0.1', port: 0 } as const;

/** The whole quickstart. Nothing that it started runs when it resolves. */
export async function runQuickstart(context: CliContext, options: QuickstartOptions): Promise<ExitCode> {
  const sink = options.isJson ? context.stderr : context.stdout;
  const say = (text: string): void => void sink.write(`${text}\n`);
  const files = await openDataFolder(path.join(options.root, '.torcello-quickstart', runName(context)));
  const run = new QuickstartRun({ context, options, files, say });
  const unlisten = context.signals.listen(() => run.stopAsked());
  try {
    return await run.play();
  } finally {
    unlisten();
  }
}

/** One play of the quickstart: its processes, and the two ways in which it can be cut short. */
class QuickstartRun {
  readonly #context: CliContext;
  readonly #options: QuickstartOptions;
  readonly #files: DataFolderFiles;
  readonly #say: (text: string) => void;
  readonly #supervisor = new Supervisor();
  readonly #stopped = new AbortController();
  /** Aborted when nothing may be waited for any more. */
  readonly #atOnce = new AbortController();
  readonly #record: StoryRecord = {
    environmentId: undefined,
    deploymentId: undefined,
    agents: undefined,
    isDeployed: false,
    plans: new Map(),
  };

  constructor(world: {
    readonly context: CliContext;
    readonly options: QuickstartOptions;
    readonly files: DataFolderFiles;
    readonly say: (text: string) => void;
  }) {
    this.#context = world.context;
    this.#options = world.options;
    this.#files = world.files;
    this.#say = world.say;
  }

  /** The first time everything is ended in order, the second time at once. */
  stopAsked(): void {
    if (this.#stopped.signal.aborted) {
      this.#atOnce.abort();
      this.#supervisor.kill();
      return;
    }
    this.#say('\nStopping; once more stops at once');
    this.#stopped.abort();
  }

  async play(): Promise<ExitCode> {
    const { isOnce, isJson } = this.#options;
    let plant: Plant | undefined;
    let exitCode: ExitCode = exitCodes.ok;
    let error: string | undefined;
    try {
      plant = await this.#withinTime(this.#startPlant());
      await this.#withinTime(this.#tell(plant));
    } catch (caught) {
      error = caught instanceof Error ? caught.message : String(caught);
      exitCode = this.#stopped.signal.aborted ? exitCodes.interrupted : this.#tellFailure(caught);
    }
    if (isJson) this.#printSummary(error);
    if (exitCode === exitCodes.ok && plant !== undefined && !isOnce) await this.#stay(plant);
    await this.#clean(plant);
    return exitCode;
  }

  async #startPlant(): Promise<Plant> {
    const { transport } = this.#options;
    this.#say(
      transport === undefined
        ? 'Starting broker, API and conductor'
        : 'Starting API and conductor on your broker; the agents get its login (--allow-shared-agent-login, on loopback only)',
    );
    await this.#supervisor.start({
      name: 'keeper',
      program: () => ({
        script: ownBin('end-leftovers'),
        args: [this.#files.folder],
        env: plainEnvironment(this.#context.env),
      }),
      logFile: path.join(this.#files.logs, 'keeper.log'),
      clock: this.#context.clock,
    });
    const plane = await startControlPlane({
      files: this.#files,
      api: loopback,
      amqp: loopback,
      transport,
      allowSharedAgentLogin: transport !== undefined,
      leaseMs: quickstartLeaseMs,
      supervisor: this.#supervisor,
      env: this.#context.env,
      clock: this.#context.clock,
      random: this.#context.random,
      onEvent: (event) => this.#noteDeath(event),
    });
    const token = (await readFile(this.#files.adminToken, 'utf8')).trim();
    const address = { url: plane.api, token, foundIn: this.#files.folder };
    this.#say(`API at ${plane.api}, broker at ${plane.broker}`);
    return { plane, client: new ApiClient(new HttpClient(address, { ...this.#context, patienceMs: apiPatienceMs })) };
  }

  async #tell({ client }: Plant): Promise<void> {
    const sink = this.#options.isJson ? this.#context.stderr : this.#context.stdout;
    const display = planDisplay(this.#context, sink);
    try {
      await tellStory({
        context: this.#context,
        client,
        files: this.#files,
        supervisor: this.#supervisor,
        example: path.join(this.#options.root, 'examples', 'hello-web'),
        display,
        say: this.#say,
        signal: this.#stopped.signal,
        record: this.#record,
      });
    } finally {
      display.close();
    }
  }

  async #stay({ plane }: Plant): Promise<void> {
    const data = path.relative(process.cwd(), this.#files.folder);
    this.#say(
      [
        '',
        `The API listens at ${plane.api} until you press Ctrl-C. In another terminal, try:`,
        `  npx torcello deployment show ${this.#record.deploymentId ?? ''} --data ${data}`,
        `  npx torcello logs ${this.#record.deploymentId ?? ''} --data ${data}`,
        `  npx torcello agent list --data ${data}`,
      ].join('\n'),
    );
    await this.#untilStopped();
  }

  /** Destroys what was deployed, ends every process, and looks once more whether a service is left. */
  async #clean(plant: Plant | undefined): Promise<void> {
    if (plant !== undefined && this.#record.environmentId !== undefined) {
      this.#say('Destroying what was deployed, then ending every process');
      await this.#destroy(plant.client, this.#record.environmentId);
    }
    await stopControlPlane(this.#files, this.#supervisor);
    await endLeftovers(this.#files.folder, this.#context.clock);
    const data = path.relative(process.cwd(), this.#files.folder);
    const isEmbedded = this.#options.transport === undefined;
    const command = `npx torcello up --data ${data}`;
    const next = isEmbedded ? command : `TORCELLO_TRANSPORT=… ${command} --allow-shared-agent-login`;
    this.#say(`The data is in ${data}; go on with: ${next}`);
  }

  /** Destroys the application on its machines; what never got that far, or is still at it, is only forgotten. */
  async #destroy(client: ApiClient, environmentId: string): Promise<void> {
    const timer = this.#context.clock.after(destroyMsMax, () => this.#atOnce.abort());
    const { signal } = this.#atOnce;
    try {
      const deployment = await client.deleteEnvironment(environmentId, !this.#record.isDeployed, signal);
      if (deployment === undefined) return;
      const events = deploymentEvents(client.http, deployment, { clock: this.#context.clock, signal });
      for await (const event of events) if (event.type === 'finished') return;
    } catch {
      // What the destroying could not do, ending the leftovers does.
      this.#say('The application could not be destroyed; its processes are ended instead');
    } finally {
      timer.cancel();
    }
  }

  /** The work's result, unless the time is over or somebody wants to stop first. */
  async #withinTime<Result>(work: Promise<Result>): Promise<Result> {
    const done = new AbortController();
    const late = async (): Promise<never> => {
      await sleep(this.#context.clock, this.#options.timeoutMs, done.signal);
      throw this.#tooLate();
    };
    const cut = this.#untilStopped().then((): never => {
      throw new CliError('stopped', 'stopped before it was done', { exitCode: exitCodes.interrupted });
    });
    const lateness = late();
    // The losers of the race fail later, with nobody looking.
    for (const loser of [work, lateness, cut]) loser.catch(() => undefined);
    try {
      return await Promise.race([work, lateness, cut]);
    } finally {
      done.abort();
    }
  }

  #untilStopped(): Promise<void> {
    const { signal } = this.#stopped;
    return new Promise((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  #tooLate(): CliError {
    const plans = [...this.#record.plans.values()];
    const waiting = plans.length === 0 ? ['no plan was made yet'] : planTable(plans, this.#context.clock.now());
    const seconds = Math.round(this.#options.timeoutMs / 1_000);
    return new CliError('timed_out', `not done after ${seconds} s\n${waiting.join('\n')}`, {
      exitCode: exitCodes.watchTimedOut,
      cure: `the logs are in ${this.#files.logs}`,
    });
  }

  #tellFailure(error: unknown): ExitCode {
    const exitCode = tellError(error, this.#context);
    for (const name of ['broker', 'api', 'conductor']) {
      for (const line of lastLines(path.join(this.#files.logs, `${name}.log`), logLinesShown))
        this.#say(`${name}: ${line}`);
    }
    return exitCode === exitCodes.ok ? exitCodes.allFailed : exitCode;
  }

  #printSummary(error: string | undefined): void {
    const { transport } = this.#options;
    const agentStarts = this.#record.agents?.startedAtMs ?? new Map<string, number>();
    const summary: QuickstartSummary = {
      ok: error === undefined,
      broker: transport === undefined ? 'embedded' : transport.replace(/\/\/[^/@]*@/g, '//'),
      plans: planTimes([...this.#record.plans.values()], agentStarts),
      ...(error === undefined ? {} : { error }),
    };
    this.#context.stdout.write(`${JSON.stringify(summary)}\n`);
  }

  #noteDeath(event: ChildEvent): void {
    if (event.type === 'died')
      this.#say(`${event.name} died (${event.how}); it starts again in ${event.restartInMs} ms`);
  }
}

/** The time of the start and some random digits: `20260131-142501-9f3c`. */
function runName({ clock, random }: CliContext): string {
  const time = new Date(clock.now()).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  return `${time}-${Buffer.from(random.bytes(2)).toString('hex')}`;
}
