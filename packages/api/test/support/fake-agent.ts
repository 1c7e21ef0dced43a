import { agentRoutingKey, agentsExchange, outputHeaders } from '@torcello/contracts';
import type { AgentMessageKind, ProgressMessage, ResultMessage } from '@torcello/contracts';
import type { Transport } from '@torcello/messaging';

/** What an agent publishes, also what it should not. */
export class FakeAgent {
  readonly #transport: Transport;
  readonly #machineId: string;

  constructor(transport: Transport, machineId: string) {
    this.#transport = transport;
    this.#machineId = machineId;
  }

  async send(
    kind: AgentMessageKind,
    body: Uint8Array | string | object,
    headers: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    await this.sendTo(agentRoutingKey(this.#machineId, kind), body, headers);
  }

  async sendTo(
    routingKey: string,
    body: Uint8Array | string | object,
    headers: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    const bytes =
      body instanceof Uint8Array
        ? body
        : new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body));
    await this.#transport.publish(
      { exchange: agentsExchange, routingKey },
      { body: bytes, headers, properties: {}, persistent: true, ifNobody: 'fail' },
    );
  }

  async result(deploymentId: string, planId: string, changes: Partial<ResultMessage> = {}): Promise<void> {
    await this.send('result', resultOf(deploymentId, planId, changes));
  }

  async progress(deploymentId: string, planId: string, changes: Partial<ProgressMessage>): Promise<void> {
    const atMs = Date.UTC(2026, 0, 1);
    await this.send('progress', { deploymentId, planId, sequence: 1, what: 'received', atMs, ...changes });
  }

  async output(
    of: { deploymentId: string; planId: string; step: string; offset: number },
    text: string,
  ): Promise<void> {
    await this.send('output', Buffer.from(text), {
      [outputHeaders.deploymentId]: of.deploymentId,
      [outputHeaders.planId]: of.planId,
      [outputHeaders.step]: of.step,
      [outputHeaders.offset]: of.offset,
      [outputHeaders.last]: false,
    });
  }
}

export function resultOf(deploymentId: string, planId: string, changes: Partial<ResultMessage> = {}): ResultMessage {
  const atMs = Date.UTC(2026, 0, 1);
  return {
    deploymentId,
    planId,
    outcome: 'succeeded',
    receivedAtMs: atMs,
    startedAtMs: atMs,
    finishedAtMs: atMs,
    steps: [
      { name: 'start', outcome: 'succeeded', exitCode: 0, startedAtMs: atMs, finishedAtMs: atMs, outputBytes: 0 },
    ],
    ...changes,
  };
}
