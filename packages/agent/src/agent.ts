import type { JoinAnswer } from '@torcello/contracts/agent';
import { isMessagingError, mailboxes, type Mailboxes, type Transport } from '@torcello/messaging';
import { Background, sleep, type Clock, type Logger, type Service } from '@torcello/platform';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { AgentError } from './errors.js';
import { sendHeartbeats } from './heartbeat.js';
import { Intake } from './intake.js';
import { Journal, type JournalFinding } from './journal.js';
import type { JournalDisk } from './journal-disk.js';
import { LetterOpener } from './letters.js';
import { agentLimits } from './limits.js';
import { Notices } from './notices.js';
import { OutputSpool } from './output.js';
import { PlanRunner } from './plan-runner.js';
import { ServerClock, type AskServerTime } from './server-clock.js';
import { systemStepGroups, type StepGroups } from './step-groups.js';
import { systemMachine, type StepMachine } from './step-machine.js';
import { readBootId } from './processes.js';
import { ProgressSender } from './progress.js';
import { ResultSender } from './results.js';
import { uplinkOf, type Uplink } from './uplink.js';

export interface AgentOptions {
  /** The agent's own folder; nobody else works in it. */
  readonly dataFolder: string;
  readonly identity: JoinAnswer;
  readonly agentVersion: string;
  /** Opens a connection to the broker; `purpose` shows in its tools. Called once for control, once for output. */
  readonly connect: (purpose: 'control' | 'output', signal: AbortSignal) => Promise<Transport>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** PATH, HOME and LANG of every step. */
  readonly hostEnvironment: Readonly<Record<string, string>>;
  readonly nodePath: string;
  /** Changes with every boot of the machine. Default: what the system says. */
  readonly bootId?: string;
  /** Asks the API for the time. Default: the agent's clock is the API's, as where both are one process. */
  readonly askServerTime?: AskServerTime;
  /** Default: the machine's. */
  readonly journalDisk?: JournalDisk;
  /** Beyond it new plans are refused. Default: the limit `journalBytesMax`. */
  readonly journalBytesMax?: number;
  /** Default: the limit `journalReserveBytes`. */
  readonly journalReserveBytes?: number;
  /** Default: control groups where this machine and user can make them. */
  readonly stepGroups?: StepGroups;
  /** What steps run on. Default: this machine. */
  readonly machine?: StepMachine;
  /** How long a step that asked for a restart of the machine waits for it. Default: the limit `rebootWaitMs`. */
  readonly rebootWaitMs?: number;
  /** The agent cannot go on and has to be stopped: the journal failed, or the broker lets it in no more. */
  readonly onFatal: (error: AgentError) => void;
}

/** Letters taken ahead of their turn; each goes into the journal before the next. */
const letterCredit = 16;
/** How long the journal waits for room on a full disk before it looks again. */
const roomRetryMs = 1_000;
/** How long new plans wait at the start for the broker, so that what lies in the mailbox is known before work begins. */
const openAfterMs = 10_000;

/**
 * Owns execution on one machine. `start` resolves when the mailbox is read; what an earlier agent left running goes on
 * before that, with or without a broker. `stop` leaves a running step running: the next agent adopts it.
 */
export class Agent implements Service {
  readonly #options: AgentOptions;
  readonly #stopping = new AbortController();
  readonly #background: Background;
  readonly #machine: StepMachine;
  readonly #transports: Transport[] = [];
  #journal: Journal | undefined;
  #groups: StepGroups | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#machine = options.machine ?? systemMachine;
    this.#background = new Background((what, error) => this.#onFailure(what, error));
  }

  /** @throws AgentError LOGIN_REFUSED; MessagingError for a transport URL that cannot be used. */
  async start(): Promise<void> {
    const { dataFolder, clock, logger } = this.#options;
    const { signal } = this.#stopping;
    const notices = new Notices(clock);
    const journal = await this.#openJournal(notices);
    const control = this.#connectControl();
    const uplink: Uplink = async (message) => await (await control.uplink)(message);
    const results = new ResultSender({ clock, logger, journal, uplink });
    const progress = new ProgressSender({ clock, logger, uplink });
    const runsFolder = path.join(dataFolder, 'runs');
    const clear = (planId: string): void => this.#background.run('clear', () => this.#clear(planId, output));
    const output = new OutputSpool({
      clock,
      logger,
      journal,
      machine: this.#machine,
      uplink: this.#outputUplink(),
      onSent: clear,
    });
    const serverClock = new ServerClock(clock, this.#options.askServerTime);
    const runner = await this.#makeRunner({ journal, output, progress, results, serverClock });
    const facts = {
      clock,
      logger,
      journal,
      opener: new LetterOpener(this.#options.identity),
      enrolment: this.#options.identity.enrolment,
      results,
      progress,
      notices,
      runsFolder,
      machine: this.#machine,
      serverClock,
      onPlan: () => runner.look(),
      onEnding: (planId: string) => this.#background.run('plans', () => runner.end(planId)),
      onReceipt: clear,
    };
    const intake = new Intake(facts, signal);
    this.#resumeOutput(journal, output);
    this.#background.run('plans', () => runner.run(signal));
    this.#background.run('output', () => output.run(signal));
    this.#background.run('patience', () =>
      sleep(clock, openAfterMs, signal).then(
        () => runner.open(),
        () => undefined,
      ),
    );
    const transport = await control.transport;
    transport.onState((state) => (state === 'connected' ? results.sendAll() : undefined));
    results.sendAll();
    this.#background.run('results', () => results.run(signal));
    this.#background.run('heartbeat', () => this.#sendHeartbeats({ transport, uplink, runner, journal, notices }));
    const boxes = mailboxes(transport);
    await this.#takeWhatIsThere(boxes, intake);
    runner.open();
    this.#background.run('letters', () => this.#readLetters(boxes, intake));
  }

  async stop(): Promise<void> {
    await (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    const { clock } = this.#options;
    this.#stopping.abort(new Error('the agent stops'));
    const settled = this.#background.settled();
    const isOver = new AbortController();
    const patience = sleep(clock, agentLimits.stopGraceMs.value, isOver.signal).catch(() => undefined);
    await Promise.race([settled, patience]);
    isOver.abort();
    await Promise.all(this.#transports.map((transport) => transport.close()));
    await settled;
    await this.#journal?.close();
    await this.#groups?.sweep();
  }

  async #openJournal(notices: Notices): Promise<Journal> {
    const { dataFolder, clock } = this.#options;
    const onFailure = (error: unknown): void =>
      this.#options.onFatal(new AgentError('JOURNAL_FAILED', `the journal cannot be written: ${String(error)}`, error));
    const folder = path.join(dataFolder, 'journal');
    const { journalDisk: disk, journalBytesMax: bytesMax, journalReserveBytes: reserveBytes } = this.#options;
    const { journal, finding } = await Journal.open(folder, {
      nowMs: clock.now(),
      onFailure,
      onFull: () => notices.add('JOURNAL_FULL', 'the disk is full: what happened is written down when there is room'),
      waitForRoom: () => sleep(clock, roomRetryMs, this.#stopping.signal),
      ...(disk === undefined ? {} : { disk }),
      ...(bytesMax === undefined ? {} : { bytesMax }),
      ...(reserveBytes === undefined ? {} : { reserveBytes }),
    });
    this.#journal = journal;
    if (finding !== undefined) this.#tell(finding, notices);
    return journal;
  }

  #tell(finding: JournalFinding, notices: Notices): void {
    if (finding.code === 'TAIL_CUT')
      return this.#options.logger.info('a half-written record was cut off', { ...finding });
    this.#options.logger.error('the journal was damaged; the damaged file is kept', { ...finding });
    notices.add('JOURNAL_DAMAGED', `${finding.plansEnded} open plans were ended as interrupted`);
  }

  #connectControl(): { readonly transport: Promise<Transport>; readonly uplink: Promise<Uplink> } {
    const transport = this.#connect('control');
    const uplink = transport.then((connected) => uplinkOf(connected, this.#options.identity.machineId));
    // Whoever uses it sees the failure; `start` rejects with it in any case.
    uplink.catch(() => undefined);
    return { transport, uplink };
  }

  /** Output has a connection of its own, so that it cannot hold up results; made when there is any. */
  #outputUplink(): () => Promise<Uplink> {
    let uplink: Promise<Uplink> | undefined;
    return async () => {
      uplink ??= this.#connect('output').then((transport) => uplinkOf(transport, this.#options.identity.machineId));
      try {
        return await uplink;
      } catch (error) {
        uplink = undefined;
        throw error;
      }
    };
  }

  async #connect(purpose: 'control' | 'output'): Promise<Transport> {
    try {
      const transport = await this.#options.connect(purpose, this.#stopping.signal);
      this.#transports.push(transport);
      return transport;
    } catch (error) {
      throw isMessagingError(error, 'LOGIN_REFUSED') ? loginRefused(error) : error;
    }
  }

  async #makeRunner(parts: {
    readonly journal: Journal;
    readonly output: OutputSpool;
    readonly progress: ProgressSender;
    readonly results: ResultSender;
    readonly serverClock: ServerClock;
  }): Promise<PlanRunner> {
    const { dataFolder, clock, logger, hostEnvironment, nodePath, rebootWaitMs } = this.#options;
    const { journal, output, progress, results, serverClock } = parts;
    const groupsName = `torcello-agent-${createHash('sha256').update(path.resolve(dataFolder)).digest('hex').slice(0, 12)}`;
    const groups = this.#options.stepGroups ?? (await systemStepGroups(groupsName));
    this.#groups = groups;
    await groups.sweep();
    const tools = {
      clock,
      machine: this.#machine,
      journal,
      output,
      progress,
      bootId: this.#options.bootId ?? (await readBootId()),
      runsFolder: path.join(dataFolder, 'runs'),
      applicationsFolder: path.join(dataFolder, 'applications'),
      hostEnvironment,
      nodePath,
      groups,
      ...(rebootWaitMs === undefined ? {} : { rebootWaitMs }),
    };
    return new PlanRunner({ tools, logger, serverClock, onFinished: (planId) => results.send(planId) });
  }

  /** What an earlier agent could not send any more. */
  #resumeOutput(journal: Journal, output: OutputSpool): void {
    for (const { received, steps, result, receiptAtMs, isCleared } of journal.book.all()) {
      const { planId, deploymentId } = received;
      for (const [index, state] of steps) {
        if (state.result === undefined || state.isOutputComplete) continue;
        const file = path.join(this.#options.dataFolder, 'runs', planId, String(index), 'output');
        output.follow({ deploymentId, planId, index, step: state.result.name, file });
      }
      const isOver = result !== undefined && receiptAtMs !== undefined && !isCleared;
      if (isOver) this.#background.run('clear', () => this.#clear(planId, output));
    }
  }

  /** When the control plane has result and output of a plan, its traces go. */
  async #clear(planId: string, output: OutputSpool): Promise<void> {
    const plan = this.#journal?.book.plan(planId);
    if (plan?.receiptAtMs === undefined || plan.isCleared || output.isPending(planId)) return;
    await this.#machine.removeFolder(path.join(this.#options.dataFolder, 'runs', planId));
    await this.#journal?.write({ type: 'cleared', planId }, { sync: false });
  }

  async #takeWhatIsThere(boxes: Mailboxes, intake: Intake): Promise<void> {
    const { identity, logger } = this.#options;
    try {
      for (;;) {
        const letter = await boxes.take(identity.mailbox, { signal: this.#stopping.signal });
        if (letter === undefined) return;
        await intake.take(letter);
      }
    } catch (error) {
      // A mailbox that is not there yet, or a connection that was lost: reading waits for both.
      if (!isMessagingError(error)) throw error;
      logger.info('the mailbox could not be emptied at the start', { error });
    }
  }

  async #readLetters(boxes: Mailboxes, intake: Intake): Promise<void> {
    const { signal } = this.#stopping;
    for await (const letter of boxes.read(this.#options.identity.mailbox, { credit: letterCredit, signal })) {
      await intake.take(letter);
    }
  }

  async #sendHeartbeats(parts: {
    readonly transport: Transport;
    readonly uplink: Uplink;
    readonly runner: PlanRunner;
    readonly journal: Journal;
    readonly notices: Notices;
  }): Promise<void> {
    const { transport, uplink, runner, journal, notices } = parts;
    const { identity, agentVersion, clock, logger } = this.#options;
    const { machineId, enrolment, heartbeatMs: intervalMs } = identity;
    const options = {
      clock,
      logger,
      uplink,
      intervalMs,
      isConnected: () => transport.state === 'connected',
      facts: { machineId, enrolment, agentVersion, processStartedAtMs: clock.now() },
      news: () => {
        const runningPlan = runner.running;
        const open = journal.book.open().length;
        return { runningPlan, waitingPlans: runningPlan === undefined ? open : open - 1, notices: notices.all() };
      },
    };
    await sendHeartbeats(options, this.#stopping.signal);
  }

  #onFailure(what: string, error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    this.#options.logger.error('a part of the agent failed', { what, error });
    // Without these nothing is done any more; the others try again by themselves.
    if (what === 'plans' || what === 'letters') this.#options.onFatal(fatal(error));
  }
}

function fatal(error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  if (isMessagingError(error, 'LOGIN_REFUSED') || isMessagingError(error, 'ACCESS_REFUSED')) return loginRefused(error);
  return new AgentError('JOURNAL_FAILED', `the agent cannot go on: ${String(error)}`, error);
}

function loginRefused(cause: unknown): AgentError {
  const message =
    'the broker does not let this agent in; the machine may have been removed or joined again. ' +
    'Make a new join line for the machine and start the agent with it';
  return new AgentError('LOGIN_REFUSED', message, cause);
}
