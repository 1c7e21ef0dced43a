import { heartbeatsMailbox, outputMailbox, resultsMailbox } from '@torcello/contracts';
import { isMessagingError, mailboxes } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import { hexId, sleep } from '@torcello/platform';
import type { Service } from '@torcello/platform';
import type { Context } from '../context.js';
import { HintAttempts } from '../dead-letters/hint-attempts.js';
import type { Appends } from '../deployments/appends.js';
import type { Claims } from '../deployments/claims.js';
import type { History } from '../deployments/history.js';
import type { Leases } from '../deployments/leases.js';
import { deploymentsEndpoint, deploymentsServer } from '../deployments/rpc-endpoint.js';
import { Sweeper } from '../deployments/sweeper.js';
import { Inbox } from '../inbox/inbox.js';
import { reportListener } from '../inbox/reports.js';
import { apiLimits } from '../limits.js';
import type { AgentAccounts } from '../machines/accounts.js';
import type { Presence } from '../machines/presence.js';
import { Reconciler } from '../machines/reconciler.js';
import { MuranoFleet } from '../murano-agents/fleet.js';
import { mailboxesOfMachines } from '../murano-agents/mailbox.js';
import { BatchReader } from './batch-reader.js';
import { Doorbell } from './doorbell.js';
import { LettersAgain } from './letters-again.js';
import { Relay } from './relay.js';
import { declareTopology } from './topology.js';

export interface BrokerSideOptions {
  readonly context: Context;
  readonly transport: Transport;
  readonly claims: Claims;
  readonly appends: Appends;
  readonly history: History;
  readonly leases: Leases;
  readonly presence: Presence;
  readonly accounts: AgentAccounts;
  readonly sweepMs: number;
  readonly reconcileMs: number;
  readonly heartbeatMs: number;
}

const declareWaitMs = 2_000;

/**
 * Everything of the API that needs the broker: declares the topology, serves the conductors, reads the agents, sends
 * the outbox. The HTTP side works without it; what it writes waits in the outbox.
 */
export class BrokerSide implements Service {
  readonly #options: BrokerSideOptions;
  readonly #stopping = new AbortController();
  readonly #started: { stop(): Promise<void> }[] = [];
  #unsubscribe: () => void = () => undefined;

  constructor(options: BrokerSideOptions) {
    this.#options = options;
  }

  /** Resolves when all of it runs. @throws MessagingError that no waiting cures, as PRECONDITION_FAILED. */
  async start(): Promise<void> {
    const { transport, presence, context } = this.#options;
    const judge = (): void => (isUp(transport) ? presence.linkIsUp() : presence.linkIsDown());
    this.#unsubscribe = transport.onState(judge);
    judge();
    await this.#declare();
    const { claims, appends } = this.#options;
    const attempts = new HintAttempts(context);
    const server = deploymentsServer(transport, deploymentsEndpoint({ claims, appends, attempts }), {
      server: `api-${hexId(context.random)}`,
      logger: context.logger,
    });
    for (const part of [server, ...this.#readers(), reportListener(context, transport)]) {
      if (this.#stopping.signal.aborted) return;
      await part.start();
      this.#started.push(part);
    }
    for (const part of this.#stopping.signal.aborted ? [] : this.#senders()) {
      part.start();
      this.#started.push(part);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the API stops'));
    this.#unsubscribe();
    // Newest first: nothing is taken in any more that could still want to go out.
    for (const part of this.#started.splice(0).toReversed()) await part.stop();
  }

  async #declare(): Promise<void> {
    const { transport, context, heartbeatMs } = this.#options;
    while (!this.#stopping.signal.aborted) {
      try {
        return await declareTopology(transport, heartbeatMs);
      } catch (error) {
        if (!isMessagingError(error) || !error.retryable) throw error;
        context.logger.warn('the topology could not be declared yet', { error });
        await sleep(context.clock, declareWaitMs, this.#stopping.signal).catch(() => undefined);
      }
    }
  }

  /** Results and progress, output, and heartbeats each have their own reader: none can drown another. */
  #readers(): readonly BatchReader[] {
    const { context, transport, history } = this.#options;
    return [resultsMailbox, outputMailbox, heartbeatsMailbox].map((queue) => {
      const inbox = new Inbox(context, history, queue);
      return new BatchReader({
        transport,
        queue,
        batchMax: apiLimits.agentBatchMax.value,
        clock: context.clock,
        logger: context.logger,
        handle: (batch) => inbox.take(batch),
      });
    });
  }

  #senders(): readonly { start(): void; stop(): Promise<void> }[] {
    const { context, transport, history, leases, accounts, sweepMs, reconcileMs } = this.#options;
    const boxes = mailboxes(transport);
    const sweeper = new Sweeper({ context, leases, sweepMs });
    return [
      new Relay({ context, mailboxes: boxes, onHint: (deploymentId) => sweeper.hinted(deploymentId) }),
      sweeper,
      new Reconciler({ context, mailboxes: mailboxesOfMachines(boxes, transport), accounts, intervalMs: reconcileMs }),
      ...(transport.capabilities.routes
        ? [new MuranoFleet({ context, history, transport, mailboxes: boxes, intervalMs: sweepMs })]
        : []),
      new Doorbell({ context, leases, transport }),
      new LettersAgain({ context, mailboxes: boxes, intervalMs: sweepMs }),
    ];
  }
}

export function isUp(transport: Transport | undefined): boolean {
  return transport?.state === 'connected' || transport?.state === 'blocked';
}
