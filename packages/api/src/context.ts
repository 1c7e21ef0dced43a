import type { Clock, Logger, Random } from '@torcello/platform';
import type { Owners } from './access/owners.js';
import type { Store } from './database/store.js';
import type { Notices } from './notices.js';

/** What nearly every part of the API needs: the truth, the world, and where news is told. */
export interface Context {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly notices: Notices;
  /** Which tenant owns what. */
  readonly owners: Owners;
}
