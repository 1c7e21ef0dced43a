import type { Transport } from '@torcello/messaging';
import type { Catalog } from '../packages/catalog.js';
import type { Context } from '../context.js';
import type { Snapshots } from '../backup/snapshots.js';
import type { FoldedDeployments } from '../deployments/folded.js';
import type { History } from '../deployments/history.js';
import type { Views } from '../deployments/view.js';
import type { Leases } from '../deployments/leases.js';
import type { Environments } from '../environments/environments.js';
import type { OwnTokens } from '../access/own-tokens.js';
import type { TokenProvider } from '../access/principal.js';
import type { AgentAccounts } from '../machines/accounts.js';
import type { Joins } from '../machines/joins.js';
import type { EndParts } from '../mailboxes/end-parts.js';
import type { MailboxKeeper } from '../mailboxes/keeper.js';
import type { Machines } from '../machines/machines.js';
import type { Carrier } from '../messaging/carrier.js';
import type { Presence } from '../machines/presence.js';
import type { Retention } from '../retention/retention.js';
import type { Secrets } from '../secrets.js';
import type { WatchHub } from '../watch/hub.js';

/** What the routes are made of. */
export interface ApiServices {
  readonly context: Context;
  readonly secrets: Secrets;
  /** Checks the token of every request. */
  readonly tokens: TokenProvider;
  readonly ownTokens: OwnTokens;
  readonly history: History;
  readonly environments: Environments;
  readonly catalog: Catalog;
  readonly machines: Machines;
  readonly joins: Joins;
  readonly accounts: AgentAccounts;
  readonly presence: Presence;
  readonly hub: WatchHub;
  readonly views: Views;
  readonly leases: Leases;
  readonly folded: FoldedDeployments;
  /** How long mailboxes stay after their machines are gone, so that agents can still fetch receipts. */
  readonly mailboxGraceMs: number;
  readonly snapshots: Snapshots;
  readonly retention: Retention;
  readonly isBrokerUp: () => boolean;
  /** Undefined until the API works over a broker. */
  readonly transport: () => Transport | undefined;
  /** How mailboxes end. */
  readonly mailboxEnds: EndParts;
  readonly keeper: MailboxKeeper;
  /** The broker's URL without login, where it is known. */
  readonly transportUrl: string | undefined;
  /** How letters get to agents and conductors; undefined until the broker was reached. */
  readonly carrier: () => Carrier | undefined;
  /** Base of the API's address as agents and people reach it. */
  readonly publicUrl: () => string;
  /** The agent's one file, or undefined where it was not built. */
  readonly agentBundle: string | undefined;
  /** Template of `install.sh`. */
  readonly installScript: string | undefined;
}
