import {
  agentRoutingKey,
  agentsExchange,
  letterKindHeader,
  outputHeaders,
  sealLetter,
  signedBytes,
  type HeartbeatMessage,
  type JoinAnswer,
  type PlanHeader,
  type PlanPayload,
  type PlanStep,
  type ProgressMessage,
  type ResultMessage,
} from '@torcello/contracts/agent';
import { connect, mailboxes, type Delivery, type Driver, type Mailboxes, type Transport } from '@torcello/messaging';
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

export const machineId: string = 'a1'.repeat(16);
export const mailbox: string = `agent.mbox.${'5e'.repeat(16)}`;
export const deploymentId: string = 'de'.repeat(16);
export const planIdOf = (number: number): string => number.toString(16).padStart(32, '0');

/** A pair of keys like the conductor's. */
export class PlanKeys {
  readonly #privateKey: KeyObject;
  readonly publicPem: string;
  readonly kid: string;

  constructor(privateKey: KeyObject = generateKeyPairSync('ed25519').privateKey, publicKey?: KeyObject) {
    this.#privateKey = privateKey;
    const half = publicKey ?? privateKey;
    const jwk = half.export({ format: 'jwk' });
    const spki = Buffer.concat([
      Buffer.from('302a300506032b6570032100', 'hex'),
      Buffer.from(String(jwk.x), 'base64url'),
    ]);
    this.kid = createHash('sha256').update(spki).digest('hex').slice(0, 16);
    this.publicPem = `-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----\n`;
  }

  seal(header: object, payload: object | string): Uint8Array {
    const encode = (value: object | string): Uint8Array =>
      new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
    return this.sealBytes(encode(header), encode(payload));
  }

  sealBytes(header: Uint8Array, payload: Uint8Array): Uint8Array {
    const signature = new Uint8Array(sign(null, signedBytes(header, payload), this.#privateKey));
    return sealLetter({ header, payload, signature });
  }
}

export function headerOf(keys: PlanKeys, changes: Partial<PlanHeader> = {}): PlanHeader {
  return { kid: keys.kid, planId: planIdOf(1), deploymentId, machineId, mailbox, enrolment: 1, epoch: 1, ...changes };
}

export function payloadOf(steps: readonly Partial<PlanStep>[], changes: Partial<PlanPayload> = {}): PlanPayload {
  return {
    format: 'torcello/1',
    deploymentId,
    planId: planIdOf(1),
    stage: 'svc/web',
    action: 'deploy',
    environment: { id: 'e0'.repeat(16), name: 'shop' },
    service: { id: '5c'.repeat(16), type: 'io.torcello.Test' },
    machine: { id: machineId, name: 'web-1', role: 'web', index: 0 },
    steps: steps.map((step, index) => ({
      name: `step-${index}`,
      files: [],
      env: {},
      timeoutMs: 30_000,
      onInterrupt: 'fail',
      ...step,
    })),
    ...changes,
  };
}

export interface OutputChunk {
  readonly planId: string;
  readonly step: string;
  readonly offset: number;
  readonly isLast: boolean;
  readonly text: string;
}

/** The control plane as an agent sees it, over any transport. */
export class TestControl {
  readonly keys: PlanKeys;
  readonly transport: Transport;
  readonly boxes: Mailboxes;
  readonly results: ResultMessage[] = [];
  readonly progress: ProgressMessage[] = [];
  readonly heartbeats: HeartbeatMessage[] = [];
  readonly chunks: OutputChunk[] = [];
  readonly #onMessage: (kind: string, body: unknown) => void;
  #changed: () => void = () => undefined;

  private constructor(transport: Transport, keys: PlanKeys, onMessage: (kind: string, body: unknown) => void) {
    this.#onMessage = onMessage;
    this.transport = transport;
    this.boxes = mailboxes(transport);
    this.keys = keys;
  }

  /** @param onMessage - hears of everything that an agent sends, before it is accepted. */
  static async open(
    url: string,
    driver: Driver,
    keys: PlanKeys = new PlanKeys(),
    onMessage: (kind: string, body: unknown) => void = () => undefined,
  ): Promise<TestControl> {
    const control = new TestControl(await connect(url, { drivers: [driver] }), keys, onMessage);
    await control.boxes.open(mailbox);
    await control.#listen('result', (delivery) => control.results.push(json(delivery) as ResultMessage));
    await control.#listen('progress', (delivery) => control.progress.push(json(delivery) as ProgressMessage));
    await control.#listen('heartbeat', (delivery) => control.heartbeats.push(json(delivery) as HeartbeatMessage));
    await control.#listen('output', (delivery) => control.chunks.push(chunkOf(delivery)));
    return control;
  }

  identity(changes: Partial<JoinAnswer> = {}): JoinAnswer {
    return {
      machineId,
      machineName: 'web-1',
      enrolment: 1,
      mailbox,
      transportUrl: 'memory:',
      planKey: this.keys.publicPem,
      heartbeatMs: 1_000,
      ...changes,
    };
  }

  /** Puts a plan; the numbers make its id. */
  async plan(
    number: number,
    steps: readonly Partial<PlanStep>[],
    header: Partial<PlanHeader> = {},
  ): Promise<Uint8Array> {
    const planId = planIdOf(number);
    const { deploymentId: id = deploymentId } = header;
    const payload = payloadOf(steps, { planId, deploymentId: id });
    const letter = this.keys.seal(headerOf(this.keys, { planId, ...header }), payload);
    await this.put(letter, planId);
    return letter;
  }

  /** Puts a cancel for the plan of this number. */
  async cancel(number: number, graceMs: number = 5_000, header: Partial<PlanHeader> = {}): Promise<Uint8Array> {
    const planId = planIdOf(number);
    const payload = { format: 'torcello/1', planId, graceMs };
    const letter = this.keys.seal(headerOf(this.keys, { planId, kind: 'cancel', ...header }), payload);
    await this.put(letter, `cancel-${planId}`, 'cancel');
    return letter;
  }

  async put(body: Uint8Array, id: string = 'letter', kind: string = 'plan'): Promise<void> {
    await this.boxes.put(mailbox, { id, body, headers: { [letterKindHeader]: kind } });
  }

  async receipt(planId: string): Promise<void> {
    await this.put(new TextEncoder().encode(JSON.stringify({ planId })), `receipt.${planId}`, 'receipt');
  }

  /** Waits until the condition holds; looks again whenever something arrived. */
  async until<T>(what: string, condition: () => T | undefined | false): Promise<T> {
    const deadline = AbortSignal.timeout(20_000);
    for (;;) {
      const found = condition();
      if (found !== undefined && found !== false) return found;
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => reject(new Error(`waited in vain for ${what}: ${JSON.stringify(this.results)}`));
        if (deadline.aborted) return onAbort();
        deadline.addEventListener('abort', onAbort, { once: true });
        this.#changed = () => {
          deadline.removeEventListener('abort', onAbort);
          resolve();
        };
      });
    }
  }

  async result(number: number): Promise<ResultMessage> {
    return await this.until(`result of plan ${number}`, () =>
      this.results.find(({ planId }) => planId === planIdOf(number)),
    );
  }

  /** The step's whole output, put together by offset. Fails at a gap or a contradiction. */
  output(number: number, step: string): string {
    const bytes: string[] = [];
    for (const chunk of this.chunks.filter(({ planId, step: name }) => planId === planIdOf(number) && name === step)) {
      chunk.text.split('').forEach((letter, index) => {
        const at = chunk.offset + index;
        if (at > bytes.length) throw new Error(`a gap before offset ${at}`);
        if (bytes[at] !== undefined && bytes[at] !== letter) throw new Error(`two different bytes at ${at}`);
        bytes[at] = letter;
      });
    }
    return bytes.join('');
  }

  async wholeOutput(number: number, step: string): Promise<string> {
    await this.until(`output of ${step}`, () =>
      this.chunks.find((chunk) => chunk.planId === planIdOf(number) && chunk.step === step && chunk.isLast),
    );
    return this.output(number, step);
  }

  async close(): Promise<void> {
    await this.transport.close();
  }

  async #listen(
    kind: 'result' | 'progress' | 'heartbeat' | 'output',
    take: (delivery: Delivery) => void,
  ): Promise<void> {
    const queue = `test.${kind}`;
    const reachedBy = [{ exchange: agentsExchange, routingKey: agentRoutingKey('*', kind) }];
    await this.transport.ensure({ kind: 'shared', source: { queue }, reachedBy, options: {} });
    const onDelivery = (delivery: Delivery): void => {
      this.#onMessage(kind, kind === 'output' ? chunkOf(delivery) : json(delivery));
      take(delivery);
      delivery.accept();
      this.#changed();
    };
    await this.transport.consume({ queue }, { credit: 100, onDelivery });
  }
}

function json(delivery: Delivery): unknown {
  return JSON.parse(Buffer.from(delivery.message.body).toString());
}

function chunkOf({ message }: Delivery): OutputChunk {
  const header = (name: keyof typeof outputHeaders): unknown => message.headers[outputHeaders[name]];
  return {
    planId: String(header('planId')),
    step: String(header('step')),
    offset: Number(header('offset')),
    isLast: header('last') === true,
    text: Buffer.from(message.body).toString('latin1'),
  };
}
