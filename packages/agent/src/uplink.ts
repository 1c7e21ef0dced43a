import { agentRoutingKey, agentsExchange, type AgentMessageKind } from '@torcello/contracts/agent';
import type { Transport } from '@torcello/messaging';

/** What an agent sends, with how long it may wait for the broker. */
export interface UplinkMessage {
  readonly kind: AgentMessageKind;
  /** The same for every copy, so that the other side can tell doubles. */
  readonly id: string;
  readonly body: Uint8Array | object;
  readonly headers?: Readonly<Record<string, unknown>>;
  /** The broker drops it when nobody took it for so long; then it is not stored on disk either. */
  readonly expiresMs?: number;
  readonly timeoutMs: number;
}

/** The agent's way up: one exchange, keys that start with its own machine. Resolves with the broker's confirm. */
export type Uplink = (message: UplinkMessage) => Promise<void>;

export function uplinkOf(transport: Transport, machineId: string): Uplink {
  return async ({ kind, id, body, headers = {}, expiresMs, timeoutMs }) => {
    const isJson = !(body instanceof Uint8Array);
    const destination = { exchange: agentsExchange, routingKey: agentRoutingKey(machineId, kind) };
    const message = {
      body: isJson ? new TextEncoder().encode(JSON.stringify(body)) : body,
      properties: { messageId: id, contentType: isJson ? 'application/json' : 'application/octet-stream' },
      headers,
      persistent: expiresMs === undefined,
      ...(expiresMs === undefined ? {} : { expiresMs }),
      ifNobody: expiresMs === undefined ? 'fail' : 'drop',
    } as const;
    await transport.publish(destination, message, { timeoutMs, resend: true });
  };
}
