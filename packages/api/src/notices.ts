import type { DeploymentEvent } from '@torcello/contracts';

/** One event of a history with its place and its instant. */
export interface HistoryEntry {
  readonly n: number;
  readonly atMs: number;
  readonly event: DeploymentEvent;
}

/** What happened in the database, told after the commit to whoever sits in this process. Never the only way to learn it. */
export type Notice =
  /** A letter was written that waits for the relay. */
  | { readonly type: 'outbox' }
  /** `byApi`: not the lease holder itself has written it. */
  | {
      readonly type: 'history';
      readonly deploymentId: string;
      readonly entries: readonly HistoryEntry[];
      readonly byApi: boolean;
    }
  | { readonly type: 'plans'; readonly deploymentId: string; readonly planIds: readonly string[] }
  | { readonly type: 'report'; readonly deploymentId: string; readonly report: Readonly<Record<string, unknown>> }
  /** A step wrote something. */
  | { readonly type: 'output'; readonly deploymentId: string }
  /** Mailboxes are to be made or taken away. */
  | { readonly type: 'mailboxes' };

/** Hands notices to listeners of this process, in order, at once. */
export class Notices {
  readonly #listeners = new Set<(notice: Notice) => void>();

  tell(notice: Notice): void {
    for (const listener of this.#listeners) listener(notice);
  }

  /** Answers the function that ends listening. */
  listen(listener: (notice: Notice) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
