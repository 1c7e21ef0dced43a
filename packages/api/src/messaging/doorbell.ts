import { doorbellMethod, doorbellTopic } from '@torcello/contracts';
import type { DoorbellNews } from '@torcello/contracts';
import { rpcClient } from '@torcello/messaging';
import type { RpcClient, Transport } from '@torcello/messaging';
import { Background } from '@torcello/platform';
import type { Context } from '../context.js';
import type { Leases } from '../deployments/leases.js';

/** Rings on their way; with more, conductors learn the rest from their next renewal. */
const ringsMax = 100;

/** Tells conductors at once that somebody else has written to a history. Never needed, so never retried. */
export class Doorbell {
  readonly #context: Context;
  readonly #leases: Leases;
  readonly #client: RpcClient;
  readonly #background: Background;
  #unlisten: () => void = () => undefined;
  #ringing = 0;

  constructor(parts: { readonly context: Context; readonly leases: Leases; readonly transport: Transport }) {
    this.#context = parts.context;
    this.#leases = parts.leases;
    this.#client = rpcClient(parts.transport, { ...doorbellTopic, fanout: true });
    this.#background = new Background((what, error) => parts.context.logger.debug('a ring was lost', { what, error }));
  }

  start(): void {
    this.#unlisten = this.#context.notices.listen((notice) => {
      const last = notice.type === 'history' && notice.byApi ? notice.entries.at(-1) : undefined;
      if (last !== undefined && notice.type === 'history')
        this.#ring({ deploymentId: notice.deploymentId, length: last.n + 1 });
    });
  }

  async stop(): Promise<void> {
    this.#unlisten();
    await this.#background.settled();
  }

  #ring(news: DoorbellNews): void {
    if (this.#ringing >= ringsMax || !this.#leases.isLive(news.deploymentId)) return;
    this.#ringing += 1;
    this.#background.run('doorbell', async () => {
      try {
        await this.#client.cast(doorbellMethod, { ...news });
      } finally {
        this.#ringing -= 1;
      }
    });
  }
}
