import type { Logger } from '@torcello/platform';
import { Background } from '@torcello/platform';
import { deploymentRow } from '../deployments/rows.js';
import type { DeploymentView, PlanView, Views } from '../deployments/view.js';
import type { Db } from '../database/store.js';
import type { HistoryEntry, Notice, Notices } from '../notices.js';

/** What a watcher of one deployment is told, in order. */
export type WatchEvent =
  | { readonly type: 'history'; readonly entry: HistoryEntry }
  | { readonly type: 'plan'; readonly plan: PlanView }
  | { readonly type: 'report'; readonly report: Readonly<Record<string, unknown>> }
  | { readonly type: 'finished'; readonly deployment: DeploymentView };

type Watcher = (events: readonly WatchEvent[]) => void;

interface Channel {
  readonly watchers: Set<Watcher>;
  last: Promise<void>;
}

/** Brings the news of deployments to their watchers. Where nobody watches, nothing is read and nothing is kept. */
export class WatchHub {
  readonly #db: Db;
  readonly #channels = new Map<string, Channel>();
  readonly #background: Background;
  readonly #views: Views;

  constructor(parts: { readonly db: Db; readonly notices: Notices; readonly logger: Logger; readonly views: Views }) {
    this.#db = parts.db;
    this.#views = parts.views;
    this.#background = new Background((what, error) => parts.logger.error('a watch failed', { what, error }));
    parts.notices.listen((notice) => this.#take(notice));
  }

  /** Number of open watches. */
  get size(): number {
    return [...this.#channels.values()].reduce((sum, channel) => sum + channel.watchers.size, 0);
  }

  /** Calls `watcher` with everything that happens from now on, until the answered function is called. */
  watch(deploymentId: string, watcher: Watcher): () => void {
    const channel = this.#channels.get(deploymentId) ?? { watchers: new Set<Watcher>(), last: Promise.resolve() };
    this.#channels.set(deploymentId, channel);
    channel.watchers.add(watcher);
    return () => {
      channel.watchers.delete(watcher);
      if (channel.watchers.size === 0) this.#channels.delete(deploymentId);
    };
  }

  /** Resolves when everything told so far has reached the watchers. */
  async settled(): Promise<void> {
    await this.#background.settled();
  }

  #take(notice: Notice): void {
    if (notice.type === 'outbox' || notice.type === 'mailboxes' || notice.type === 'output') return;
    const channel = this.#channels.get(notice.deploymentId);
    if (channel === undefined) return;
    const { last } = channel;
    this.#background.run('tell watchers', () => (channel.last = this.#tell(channel, notice, last)));
  }

  async #tell(channel: Channel, notice: Notice, last: Promise<void>): Promise<void> {
    const events = await this.#eventsOf(notice);
    await last;
    for (const watcher of channel.watchers) watcher(events);
  }

  async #eventsOf(notice: Notice): Promise<readonly WatchEvent[]> {
    switch (notice.type) {
      case 'plans':
        return (await this.#views.plans(notice.deploymentId, notice.planIds)).map((plan) => ({ type: 'plan', plan }));
      case 'report':
        return [{ type: 'report', report: notice.report }];
      case 'history':
        return this.#historyEvents(notice.deploymentId, notice.entries);
      default:
        return [];
    }
  }

  async #historyEvents(deploymentId: string, entries: readonly HistoryEntry[]): Promise<readonly WatchEvent[]> {
    const events: WatchEvent[] = entries.map((entry) => ({ type: 'history', entry }));
    if (!entries.some((entry) => entry.event.type === 'finished')) return events;
    const row = await deploymentRow(this.#db, deploymentId);
    if (row !== undefined) events.push({ type: 'finished', deployment: await this.#views.deployment(row) });
    return events;
  }
}
