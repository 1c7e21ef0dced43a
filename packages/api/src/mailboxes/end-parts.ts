import type { Context } from '../context.js';
import type { History } from '../deployments/history.js';
import type { Presence } from '../machines/presence.js';

/** What the end of a mailbox is made with. */
export interface EndParts {
  readonly context: Context;
  readonly history: History;
  readonly presence: Presence;
  /** Lives so long without contact from its reader, unless its machine says otherwise. */
  readonly lifetimeMs: number;
  /** So long a letter may be on its way: a fresh mailbox is opened no earlier, and what is not certain is judged then. */
  readonly settleMs: number;
}
