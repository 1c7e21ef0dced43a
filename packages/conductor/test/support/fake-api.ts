import {
  type AppendRequest,
  type AttemptRequest,
  type ClaimRequest,
  type DeploymentEvent,
  type DeploymentModel,
  type DeploymentState,
  type LetterRequest,
  type LoadRequest,
  type PlanLetter,
  type ReleaseRequest,
  type RenewRequest,
  apply,
  deploymentsTopic,
  doorbellMethod,
  doorbellTopic,
  emptyDeployment,
  limits,
  tasksMailbox,
} from '@torcello/contracts';
import { type Transport, mailboxes, rpcClient, rpcServer } from '@torcello/messaging';
import type { Clock, Service } from '@torcello/platform';

interface Row {
  model: DeploymentModel;
  readonly events: DeploymentEvent[];
  readonly ids: Map<string, number>;
  readonly letters: Map<string, string>;
  epoch: number;
  holder: string | undefined;
  nonce: string | undefined;
  untilMs: number;
}

/** As the API's. */
const attemptsMax = 5;

/** Every request in the order it came, and what it was about. */
export interface SeenRequest {
  readonly method: string;
  readonly request: Readonly<Record<string, unknown>>;
}

/** A double of the API that keeps histories, leases and letters in memory, as the contract of the RPC says. */
export class FakeApi implements Service {
  readonly seen: SeenRequest[] = [];
  leaseMs = 30_000;
  /** Called before a request is answered; it may wait, throw, or change the world. */
  before: (method: string, request: Readonly<Record<string, unknown>>) => unknown = () => undefined;
  /** Called when a request has done its work; it may keep the answer back. */
  after: (method: string, request: Readonly<Record<string, unknown>>) => unknown = () => undefined;
  readonly #rows = new Map<string, Row>();
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #server: Service;
  readonly #watchers = new Set<() => void>();
  /** Of every append that was taken, in their order. */
  readonly epochs: { readonly id: string; readonly epoch: number }[] = [];
  #hints = 0;
  /** How often each hint was tried, by message id, and those that were put aside. */
  readonly attempts: Map<string, number> = new Map();
  readonly buried: Set<string> = new Set();

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
    const methods = Object.fromEntries(
      Object.entries(this.#methods()).map(([name, method]) => [name, this.#wrapped(name, method)]),
    );
    const { version } = deploymentsTopic;
    this.#server = rpcServer(transport, { ...deploymentsTopic, server: 'api' }, [{ target: { version }, methods }]);
  }

  async start(): Promise<void> {
    await mailboxes(this.#transport).open(tasksMailbox, { isRestored: true });
    await this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  accept(model: DeploymentModel, accepted: DeploymentEvent): void {
    const { deploymentId } = model;
    const row: Row = {
      model,
      events: [accepted],
      ids: new Map(),
      letters: new Map(),
      epoch: 0,
      holder: undefined,
      nonce: undefined,
      untilMs: 0,
    };
    this.#rows.set(deploymentId, row);
  }

  async hint(deploymentId: string): Promise<void> {
    this.#hints += 1;
    const body = new TextEncoder().encode(JSON.stringify({ deploymentId }));
    await mailboxes(this.#transport).put(tasksMailbox, { id: `hint-${this.#hints}`, body });
  }

  /** Something that is no hint. */
  async mishint(id: string, body: string): Promise<void> {
    await mailboxes(this.#transport).put(tasksMailbox, { id, body: new TextEncoder().encode(body) });
  }

  async ringDoorbell(deploymentId: string): Promise<void> {
    const { exchange, topic, version } = doorbellTopic;
    const rpc = rpcClient(this.#transport, { exchange, topic, version, fanout: true });
    await rpc.cast(doorbellMethod, { deploymentId, length: this.events(deploymentId).length });
  }

  events(deploymentId: string): readonly DeploymentEvent[] {
    return this.#row(deploymentId).events;
  }

  row(deploymentId: string): Readonly<Pick<Row, 'epoch' | 'holder' | 'letters'>> {
    return this.#row(deploymentId);
  }

  /** As users, agents and timers do, through the API itself. */
  write(deploymentId: string, event: DeploymentEvent): void {
    this.#row(deploymentId).events.push(event);
    this.#changed();
  }

  /** Every plan ever scheduled, oldest first. */
  scheduled(deploymentId: string): readonly PlanLetter[] {
    return this.events(deploymentId).flatMap((event) => (event.type === 'planScheduled' ? [event.plan] : []));
  }

  open(deploymentId: string): readonly PlanLetter[] {
    return this.state(deploymentId).plans.filter(({ outcome }) => outcome === undefined);
  }

  state(deploymentId: string): DeploymentState {
    return this.events(deploymentId).reduce(apply, emptyDeployment);
  }

  isHeld(deploymentId: string): boolean {
    return this.#row(deploymentId).untilMs > this.#clock.monotonicMs();
  }

  /** Every plan of every attempt. */
  allPlans(deploymentId: string): ReadonlyMap<string, { readonly hasEnded: boolean }> {
    const events = this.events(deploymentId);
    const ended = new Set(events.flatMap((event) => (event.type === 'planEnded' ? [event.planId] : [])));
    return new Map(this.scheduled(deploymentId).map(({ planId }) => [planId, { hasEnded: ended.has(planId) }]));
  }

  mailboxOf(deploymentId: string, machineId: string): string {
    return this.#row(deploymentId).model.machines.find(({ id }) => id === machineId)?.mailbox ?? '';
  }

  replaceModel(deploymentId: string, model: DeploymentModel): void {
    this.#row(deploymentId).model = model;
  }

  /** A user wants another attempt, perhaps with other packages. */
  resume(deploymentId: string, model?: DeploymentModel): void {
    const row = this.#row(deploymentId);
    const before = row.model;
    if (model !== undefined) row.model = model;
    const fixes = row.model.services.flatMap(({ id, package: { id: packageId } }) =>
      before.services.some((service) => service.id === id && service.package.id !== packageId)
        ? [{ serviceId: id, packageId }]
        : [],
    );
    this.write(deploymentId, { type: 'resumed', fixes });
  }

  /** The lease is over for the API: the next claim succeeds. */
  expire(deploymentId: string): void {
    this.#row(deploymentId).untilMs = 0;
  }

  counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { method } of this.seen) counts[method] = (counts[method] ?? 0) + 1;
    return counts;
  }

  /** Resolves when `holds` is true; asked again after every request and write. */
  async until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve) => {
      const watch = (): void => {
        if (!holds()) return;
        this.#watchers.delete(watch);
        resolve();
      };
      this.#watchers.add(watch);
    });
  }

  #changed(): void {
    for (const watch of this.#watchers) watch();
  }

  #wrapped(
    name: string,
    method: (request: never) => unknown,
  ): (request: Readonly<Record<string, unknown>>) => Promise<unknown> {
    return async (request) => {
      this.seen.push({ method: name, request });
      await this.before(name, request);
      const answer = method(request as never);
      await this.after(name, request);
      this.#changed();
      return answer;
    };
  }

  #methods(): Readonly<Record<string, (request: never) => unknown>> {
    return {
      claim: (request: ClaimRequest) => this.#claim(request),
      renew: (request: RenewRequest) => ({
        leases: request.leases.map(({ deploymentId, epoch }) => {
          const isHeld = this.#isHolder(deploymentId, epoch);
          const row = this.#row(deploymentId);
          if (isHeld) row.untilMs = this.#clock.monotonicMs() + this.leaseMs;
          return { deploymentId, isHeld, length: row.events.length };
        }),
      }),
      load: ({ deploymentId, from }: LoadRequest) => {
        const { events } = this.#row(deploymentId);
        return { events: events.slice(from, from + limits.loadEventsMax.value), length: events.length };
      },
      append: (request: AppendRequest) => this.#append(request),
      letter: ({ deploymentId, planId }: LetterRequest) => {
        const row = this.#row(deploymentId);
        const scheduled = row.events.find((event) => event.type === 'planScheduled' && event.plan.planId === planId);
        const machineId = scheduled?.type === 'planScheduled' ? scheduled.plan.machine : '';
        const mailbox = row.model.machines.find((machine) => machine.id === machineId)?.mailbox;
        return { mailbox, letter: row.letters.get(planId) };
      },
      attempt: (request: AttemptRequest) => ({ isBuried: this.#attempt(request) }),
      release: ({ deploymentId, epoch, length }: ReleaseRequest) => {
        const row = this.#row(deploymentId);
        const released = this.#isHolder(deploymentId, epoch) && length >= row.events.length;
        if (released) Object.assign(row, { holder: undefined, nonce: undefined, untilMs: 0 });
        return { released, length: row.events.length };
      },
    };
  }

  #attempt({ stage, hasBegun = false, message: { messageId = '' } }: AttemptRequest): boolean {
    const tries = this.attempts.get(messageId) ?? 0;
    const isOver = stage === 'begins' ? tries === attemptsMax : tries + (hasBegun ? 0 : 1) === attemptsMax;
    if (stage === 'succeeded') this.attempts.delete(messageId);
    else if (stage === 'givenBack') this.attempts.set(messageId, tries - 1);
    else if (stage === 'begins' || !hasBegun) this.attempts.set(messageId, tries + 1);
    if (!isOver || (stage !== 'begins' && stage !== 'failed')) return false;
    this.buried.add(messageId);
    return true;
  }

  #claim({ deploymentId, holder, nonce }: ClaimRequest): unknown {
    const row = this.#rows.get(deploymentId);
    if (row === undefined) return { claimed: false, why: 'unknownDeployment' };
    if (isFinished(row.events)) return { claimed: false, why: 'finished' };
    const isLive = row.untilMs > this.#clock.monotonicMs();
    const isRepeat = isLive && row.holder === holder && row.nonce === nonce;
    if (isLive && !isRepeat) return { claimed: false, why: 'held' };
    if (!isRepeat) {
      Object.assign(row, { holder, nonce, untilMs: this.#clock.monotonicMs() + this.leaseMs });
      row.epoch += 1;
    }
    const { epoch, model, events } = row;
    return { claimed: true, epoch, length: events.length, leaseMs: this.leaseMs, model };
  }

  #append({ deploymentId, epoch, expectedLength, events }: AppendRequest): unknown {
    const row = this.#row(deploymentId);
    const [first] = events;
    const known = first === undefined ? undefined : row.ids.get(first.id);
    if (known !== undefined) return { appended: true, length: known + events.length };
    if (row.epoch !== epoch || isFinished(row.events)) return { appended: false, why: 'fenced' };
    const { length } = row.events;
    if (length !== expectedLength) {
      return { appended: false, why: 'length', length, missing: row.events.slice(expectedLength) };
    }
    this.epochs.push({ id: deploymentId, epoch });
    for (const { id, event, letter } of events) {
      row.ids.set(id, row.events.length);
      row.events.push(event);
      if (letter !== undefined && event.type === 'planScheduled') row.letters.set(event.plan.planId, letter);
    }
    return { appended: true, length: row.events.length };
  }

  #isHolder(deploymentId: string, epoch: number): boolean {
    const row = this.#row(deploymentId);
    return row.epoch === epoch && row.untilMs > this.#clock.monotonicMs();
  }

  #row(deploymentId: string): Row {
    const row = this.#rows.get(deploymentId);
    if (row === undefined) throw new TypeError(`no deployment ${deploymentId}`);
    return row;
  }
}

function isFinished(events: readonly DeploymentEvent[]): boolean {
  return events.reduce((is, { type }) => (type === 'finished' ? true : type === 'resumed' ? false : is), false);
}
