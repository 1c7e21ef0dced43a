import { connect, memoryDriver, type Delivery, type Driver, type Transport } from '@torcello/messaging';
import { silentLogger, sleep, systemClock, systemRandom } from '@torcello/platform';
import { removeFolder } from '@torcello/test-support';
import { access, mkdtemp, readdir, readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { AgentError } from '../../src/errors.js';
import { readAgentConf, type MuranoSettings } from '../../src/murano/agent-conf.js';
import { MuranoAgent } from '../../src/murano/murano-agent.js';

export const inputQueue = 'e0000-hhost1';
export const resultsQueue = '-execution-results-test';

interface GoldenMessage {
  readonly body_raw: string;
  readonly properties: { readonly message_id?: string; readonly headers?: Readonly<Record<string, string>> };
}
export interface Golden {
  readonly request?: GoldenMessage;
  readonly requests?: readonly GoldenMessage[];
  readonly response?: GoldenMessage | null;
  readonly responses?: readonly GoldenMessage[];
}

export async function readGolden<T = Golden>(name: string): Promise<T> {
  const file = new URL(`../golden/murano/${name}.json`, import.meta.url);
  return JSON.parse(await readFile(file, 'utf8')) as T;
}

export interface Answer {
  readonly text: string;
  readonly delivery: Delivery;
}

/** An engine and its agent on one machine, over the memory transport. */
export class MuranoFixture implements AsyncDisposable {
  readonly folder: string;
  readonly transport: Transport;
  readonly answers: Answer[] = [];
  readonly fatal: AgentError[] = [];
  readonly #driver: Driver;
  readonly #agents: MuranoAgent[] = [];
  #changed: () => void = () => undefined;

  private constructor(folder: string, driver: Driver, transport: Transport) {
    this.folder = folder;
    this.#driver = driver;
    this.transport = transport;
  }

  static async make(): Promise<MuranoFixture> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'torcello-murano-'));
    const driver = memoryDriver();
    const fixture = new MuranoFixture(folder, driver, await connect('memory:', { drivers: [driver] }));
    await fixture.declare(inputQueue);
    await fixture.listen(resultsQueue);
    return fixture;
  }

  async declare(queue: string): Promise<void> {
    const reachedBy = [{ exchange: '', routingKey: queue }];
    await this.transport.ensure({ kind: 'mailbox', source: { queue }, reachedBy, options: {} });
  }

  async listen(queue: string): Promise<void> {
    await this.declare(queue);
    const onDelivery = (delivery: Delivery): void => {
      delivery.accept();
      this.answers.push({ text: new TextDecoder().decode(delivery.message.body), delivery });
      this.#changed();
    };
    await this.transport.consume({ queue }, { credit: 10, onDelivery });
  }

  async startAgent(changes: Partial<MuranoSettings> = {}): Promise<MuranoAgent> {
    const conf = `[DEFAULT]\nstorage = ${this.folder}/murano\n[rabbitmq]\ninput_queue = ${inputQueue}\nresult_routing_key = ${resultsQueue}\n`;
    const agent = new MuranoAgent({
      settings: { ...readAgentConf(conf), ...changes },
      connect: (signal) => connect('memory:', { drivers: [this.#driver], signal }),
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      hostEnvironment: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: this.folder, LANG: 'C.UTF-8' },
      onFatal: (error) => this.fatal.push(error),
    });
    this.#agents.push(agent);
    await agent.start();
    return agent;
  }

  /** Sends a plan as the engine does. */
  async send(message: {
    readonly body: string | Uint8Array;
    readonly id?: string | undefined;
    readonly headers?: Readonly<Record<string, unknown>>;
    readonly replyTo?: string;
  }): Promise<void> {
    const { body, id, headers = {}, replyTo } = message;
    const properties = {
      contentType: 'text/plain',
      contentEncoding: 'utf-8',
      ...(id === undefined ? {} : { messageId: id }),
      ...(replyTo === undefined ? {} : { replyTo }),
    };
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
    const outgoing = { body: bytes, properties, headers, persistent: true, ifNobody: 'fail' } as const;
    await this.transport.publish({ exchange: '', routingKey: inputQueue }, outgoing);
  }

  async sendPlan(plan: Readonly<Record<string, unknown>>): Promise<void> {
    const whole = { FormatVersion: '2.0.0', Files: {}, Scripts: {}, ...plan };
    await this.send({ body: JSON.stringify(whole), id: String(plan['ID']) });
  }

  /** Waits for so many answers in all. */
  async until(count: number): Promise<readonly Answer[]> {
    const deadline = AbortSignal.timeout(30_000);
    while (this.answers.length < count) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => reject(new Error(`${this.answers.length} answers of ${count} came`));
        deadline.addEventListener('abort', onAbort, { once: true });
        this.#changed = () => {
          deadline.removeEventListener('abort', onAbort);
          resolve();
        };
      });
    }
    return this.answers;
  }

  /** Waits until the queue is read and no plan is left on the disk. */
  async untilIdle(): Promise<void> {
    const deadline = AbortSignal.timeout(30_000);
    const left = async (): Promise<number> => {
      const { messages } = await this.transport.inspect({ queue: inputQueue });
      const names = await readdir(path.join(this.folder, 'murano', 'plans'));
      return messages + names.filter((name) => name !== 'stamp').length;
    };
    while ((await left()) > 0) await sleep(systemClock, 20, deadline);
  }

  async untilThere(file: string): Promise<void> {
    const deadline = AbortSignal.timeout(30_000);
    const isThere = (): Promise<boolean> =>
      access(file).then(
        () => true,
        () => false,
      );
    while (!(await isThere())) await sleep(systemClock, 20, deadline);
  }

  /** The answer to a plan of this id, parsed. */
  async answer(
    id: string,
  ): Promise<{ readonly ErrorCode: number; readonly Body: unknown; readonly ReplyTo?: unknown }> {
    for (let count = 1; ; count = this.answers.length + 1) {
      await this.until(count);
      const found = this.answers
        .map(({ text }) => JSON.parse(text) as { SourceID: string; ErrorCode: number; Body: unknown })
        .find(({ SourceID }) => SourceID === id);
      if (found !== undefined) return found;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.stop()));
    await this.transport.close();
    removeFolder(this.folder);
  }
}

/** What differs from one run to the next: ids, times, folders and the sizes of links to them. */
export function withoutChance(text: string): string {
  return text
    .replace(/"ID": "[0-9a-f]{32}"/, '"ID": "-"')
    .replace(/"Time": "\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"/, '"Time": "-"')
    .replaceAll(/root root \d+  (\S+) -> \S*\/(\S+?)(?=\\n|")/g, 'root root -  $1 -> $2')
    .replaceAll(/"\d{10}\.\d{9}"/g, '"-"');
}
