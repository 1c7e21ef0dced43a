import type { AgentNotice, HeartbeatMessage } from '@torcello/contracts/agent';
import { sleep, type Clock, type Logger } from '@torcello/platform';
import type { Uplink } from './uplink.js';

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly uplink: Uplink;
  readonly intervalMs: number;
  /** Without a connection nothing is sent: an old sign of life is none. */
  readonly isConnected: () => boolean;
  readonly facts: Pick<HeartbeatMessage, 'machineId' | 'enrolment' | 'agentVersion' | 'processStartedAtMs'>;
  readonly news: () => {
    readonly runningPlan: string | undefined;
    readonly waitingPlans: number;
    readonly notices: readonly AgentNotice[];
  };
}

/** Tells every `intervalMs` that the agent lives, until the signal aborts. */
export async function sendHeartbeats(options: HeartbeatOptions, signal: AbortSignal): Promise<void> {
  const { clock, logger, intervalMs, isConnected } = options;
  while (!signal.aborted) {
    if (isConnected()) {
      await sendHeartbeat(options).catch((error: unknown) => logger.debug('no heartbeat was sent', { error }));
    }
    await sleep(clock, intervalMs, signal).catch(() => undefined);
  }
}

async function sendHeartbeat({ clock, uplink, intervalMs, facts, news }: HeartbeatOptions): Promise<void> {
  const { runningPlan, waitingPlans, notices } = news();
  const atMs = clock.now();
  const body: HeartbeatMessage = {
    ...facts,
    ...(runningPlan === undefined ? {} : { runningPlan }),
    waitingPlans,
    ...(notices.length === 0 ? {} : { notices }),
    intervalMs,
    atMs,
  };
  const timeoutMs = Math.max(1, Math.floor(intervalMs / 2));
  await uplink({ kind: 'heartbeat', id: `${facts.machineId}.${atMs}`, body, expiresMs: intervalMs, timeoutMs });
}
