import { createHash } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { fileURLToPath } from 'node:url';
import {
  type DeploymentEvent,
  type DeploymentModel,
  type Stage,
  letterKindHeader,
  stageName,
} from '@torcello/contracts';
import { type Driver, type Letter, type Transport, connect, mailboxes, memoryDriver } from '@torcello/messaging';
import { MemoryBroker } from '@torcello/messaging/testing';
import { type Logger, silentLogger } from '@torcello/platform';
import { SimulatedClock, seededRandom } from '@torcello/platform/testing';
import { readApplication } from '../../src/compile/application-source.js';
import { Conductor, type ConductorDiagnostic, type Download, planSigner } from '../../src/index.js';
import { FakeApi } from './fake-api.js';
import { unpackSync } from './unpack.js';
import { zipFolder } from './zip.js';

/** A fixed key: golden letters stay the same. */
export const testKey = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
`;

export const exampleFolder = (name: string): string =>
  fileURLToPath(new URL(`../../../../examples/${name}`, import.meta.url));

/** Everything that conductors work with, in one process and with a clock that is moved by hand. */
export class World implements AsyncDisposable {
  readonly clock: SimulatedClock = new SimulatedClock();
  readonly broker: MemoryBroker = new MemoryBroker(this.clock);
  readonly driver: Driver = memoryDriver({ broker: this.broker });
  readonly points: ConductorDiagnostic[] = [];
  /** What happens at a point; throwing or aborting there is how tests hit it. */
  onPoint: (point: ConductorDiagnostic) => void = () => undefined;
  logger: Logger = silentLogger;
  archives: Map<string, Uint8Array> = new Map();
  downloads = 0;
  /** Asked before each download. */
  beforeDownload: () => void = () => undefined;
  api!: FakeApi;
  apiTransport!: Transport;
  readonly #models = new Map<string, DeploymentModel>();
  readonly #conductors: { name: string; conductor: Conductor; transport: Transport }[] = [];
  readonly #listener = (message: unknown): void => {
    this.points.push(message as ConductorDiagnostic);
    this.onPoint(message as ConductorDiagnostic);
  };

  static async start(): Promise<World> {
    const world = new World();
    subscribe('torcello:conductor', world.#listener);
    world.apiTransport = await world.connect(1);
    world.api = new FakeApi(world.apiTransport, world.clock);
    await world.api.start();
    return world;
  }

  connect(seed: number): Promise<Transport> {
    const { clock, driver } = this;
    return connect('memory:', { drivers: [driver], clock, random: seededRandom(seed), heartbeatMs: 0 });
  }

  download: Download = async ({ url }) => {
    this.downloads += 1;
    this.beforeDownload();
    const archive = this.archives.get(new URL(url).pathname);
    if (archive === undefined) throw new Error(`nothing at ${url}`);
    return archive;
  };

  /** Starts a conductor; its holder is `name`. */
  async conductor(name: string, deploymentsMax: number = 20): Promise<{ conductor: Conductor; transport: Transport }> {
    const seed = 100 + this.#conductors.length;
    const transport = await this.connect(seed);
    const { clock, download, logger } = this;
    const signer = planSigner(testKey);
    const random = seededRandom(seed);
    const conductor = new Conductor({
      transport,
      signer,
      download,
      clock,
      random,
      logger,
      holder: name,
      deploymentsMax,
    });
    await conductor.start();
    const running = { name, conductor, transport };
    this.#conductors.push(running);
    return running;
  }

  /** Moves time on, 20 ms at a step, until it `holds`; fails after so much simulated time. */
  async until(holds: () => boolean, what: string, atMostMs: number = 120_000): Promise<void> {
    for (let passedMs = 0; !holds(); passedMs += 20) {
      if (passedMs > atMostMs) throw new Error(`did not come about within ${atMostMs} ms: ${what}`);
      await this.clock.advance(20);
    }
  }

  /** Lets so much time pass in small steps, so that what is going on keeps up with the clock. */
  async pass(durationMs: number): Promise<void> {
    for (let passedMs = 0; passedMs < durationMs; passedMs += 20) await this.clock.advance(20);
  }

  /** Until the deployment's history has an event of this type. */
  async untilEvent(deploymentId: string, type: DeploymentEvent['type']): Promise<void> {
    await this.until(() => this.api.events(deploymentId).some((event) => event.type === type), `event ${type}`);
  }

  transportOf(name: string): Transport {
    const found = this.#conductors.find((conductor) => conductor.name === name);
    if (found === undefined) throw new TypeError(`no conductor ${name}`);
    return found.transport;
  }

  model(deploymentId: string): DeploymentModel {
    const model = this.#models.get(deploymentId);
    if (model === undefined) throw new TypeError(`no deployment ${deploymentId}`);
    return model;
  }

  /** Takes every plan letter out of a mailbox. */
  async plansIn(mailbox: string): Promise<readonly Letter[]> {
    const letters = await this.lettersIn(mailbox);
    if (letters.some(({ headers }) => headers[letterKindHeader] !== 'plan'))
      throw new Error('a letter that is no plan');
    return letters;
  }

  /** Takes every letter out of a mailbox. */
  async lettersIn(mailbox: string): Promise<readonly Letter[]> {
    const letters: Letter[] = [];
    for (;;) {
      const letter = await mailboxes(this.apiTransport).take(mailbox);
      if (letter === undefined) return letters;
      letter.accept();
      letters.push(letter);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    unsubscribe('torcello:conductor', this.#listener);
    const stopping = this.#conductors.map(({ conductor }) => conductor.stop());
    let isStopped = false;
    const stopped = Promise.allSettled(stopping).then(() => (isStopped = true));
    await this.until(() => isStopped, 'conductors stop');
    await stopped;
    for (const { transport } of this.#conductors) await transport.close();
    await this.apiTransport.close();
  }

  /** Accepts a deployment of an example to so many machines of each role, mailboxes and all, and hints. */
  async deploy(order: Order): Promise<DeploymentModel> {
    const { model: plain, stages, archive } = exampleModel(order);
    const model = { ...plain, ...order.bounds };
    this.#models.set(model.deploymentId, model);
    for (const service of model.services) this.archives.set(service.package.path, archive);
    if (order.withMailboxes !== false) {
      for (const machine of model.machines) await mailboxes(this.apiTransport).open(machine.mailbox);
    }
    this.api.accept(model, { type: 'accepted', action: model.action, stages });
    await this.api.hint(model.deploymentId);
    return model;
  }
}

export interface Order {
  readonly id: string;
  readonly example: string;
  readonly machines: Readonly<Record<string, number>>;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly action?: 'deploy' | 'destroy';
  readonly withMailboxes?: boolean;
  readonly bounds?: Pick<DeploymentModel, 'startByMs' | 'replaces'>;
  /** Instead of the example's own files. */
  readonly archive?: Uint8Array;
}

/** Model, stages and archive of a deployment, as the API makes them. */
export function exampleModel(order: Order): {
  readonly model: DeploymentModel;
  readonly stages: readonly Stage[];
  readonly archive: Uint8Array;
} {
  const archive = order.archive ?? zipFolder(exampleFolder(order.example));
  const action = order.action ?? 'deploy';
  const serviceId = `${order.id}-service`;
  const machines = Object.entries(order.machines).flatMap(([role, count]) =>
    Array.from({ length: count }, (_, index) => ({
      id: `${order.id}-${role}-id-${index + 1}`,
      name: `${role}-${index + 1}`,
      role,
      index,
      mailbox: `agent.mbox.${order.id}.${role}.${index + 1}`,
      enrolment: 1,
    })),
  );
  const application = readApplication(unpackSync(archive, 'application.yaml'));
  const stages = (application.definition[action] ?? []).flatMap((stage) => {
    const ids = machines.filter(({ role }) => role === stage.role).map(({ id }) => id);
    const needs = (stage.needs ?? []).map((need) => `${serviceId}/${need}`);
    const whole = {
      name: `${serviceId}/${stageName(stage)}`,
      needs,
      machines: ids,
      failuresMax: stage.failuresMax ?? 0,
    };
    return typeof stage.batch === 'number' ? inBatches(whole, stage.batch, stage.gate !== undefined) : [whole];
  });
  const digest = createHash('sha256').update(archive).digest('hex');
  const model: DeploymentModel = {
    deploymentId: order.id,
    action,
    environment: { id: `${order.id}-environment`, name: 'trial' },
    services: [
      {
        id: serviceId,
        type: 'io.torcello.Example',
        properties: order.properties ?? { port: 8200, greeting: 'Hello', host: '127.0.0.1' },
        package: { id: 'package', digest, path: `/packages/${order.id}` },
        definition: application.definition,
      },
    ],
    machines,
    filesUrl: 'http://127.0.0.1:1/',
    filesToken: 'token',
  };
  return { model, stages, archive };
}

/** As the API expands a roll-out: batch, gate, batch, …; each needs the one before, and failures count together. */
function inBatches(whole: Stage, size: number, hasGate: boolean): readonly Stage[] {
  const stages: Stage[] = [];
  for (let batch = 1, from = 0; from < whole.machines.length; batch += 1, from += size) {
    const machines = whole.machines.slice(from, from + size);
    const part = (name: string): Stage => {
      const before = stages.at(-1)?.name;
      return { ...whole, name, machines, needs: before === undefined ? whole.needs : [before], group: whole.name };
    };
    stages.push(part(`${whole.name}#${batch}`));
    const isLast = from + size >= whole.machines.length;
    if (hasGate && !isLast) stages.push(part(`${whole.name}#${batch}~gate`));
  }
  return stages;
}
