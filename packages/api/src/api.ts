import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Transport } from '@torcello/messaging';
import type { Clock, Logger, Random } from '@torcello/platform';
import { Snapshots } from './backup/snapshots.js';
import { OwnTokens } from './access/own-tokens.js';
import { Owners } from './access/owners.js';
import type { TokenProvider } from './access/principal.js';
import type { Context } from './context.js';
import { openStore } from './database/store.js';
import type { Store } from './database/store.js';
import { Appends } from './deployments/appends.js';
import { Claims } from './deployments/claims.js';
import { FoldedDeployments } from './deployments/folded.js';
import { History } from './deployments/history.js';
import { Leases } from './deployments/leases.js';
import { Environments } from './environments/environments.js';
import { Views } from './deployments/view.js';
import { StartError } from './errors.js';
import { apiLimits } from './limits.js';
import type { AgentAccounts } from './machines/accounts.js';
import type { EndParts } from './mailboxes/end-parts.js';
import { MailboxKeeper } from './mailboxes/keeper.js';
import { Joins } from './machines/joins.js';
import { Machines } from './machines/machines.js';
import { Presence } from './machines/presence.js';
import { BrokerSide, isUp } from './messaging/broker-side.js';
import { chooseCarrier } from './messaging/carrier.js';
import type { Carrier } from './messaging/carrier.js';
import { Notices } from './notices.js';
import { Catalog } from './packages/catalog.js';
import { Retention } from './retention/retention.js';
import { createServer } from './routes/server.js';
import type { ApiServices } from './routes/api-services.js';
import { openSecrets } from './secrets.js';
import type { Secrets } from './secrets.js';
import { Timers } from './timers/timers.js';
import { WatchHub } from './watch/hub.js';

export interface ApiOptions {
  readonly dataDirectory: string;
  /** Default: the one in the data folder. */
  readonly store?: Store;
  /** Makes the HTTP server of what the routes need. Default: all of them. */
  readonly makeServer?: (services: ApiServices) => Promise<FastifyInstance>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** How agents get their logins. Default: they cannot join. */
  readonly accounts: (secrets: Secrets) => AgentAccounts;
  /** SPKI of the plan signing key, PEM; undefined while there is none. */
  readonly planKey: () => string | undefined;
  /** As agents and people reach the API. Default: where it listens. */
  readonly publicUrl?: string;
  /** The broker's URL without login, for people. */
  readonly transportUrl?: string;
  /** Where tokens are checked, given the API's own. Default: those alone. */
  readonly tokens?: (own: TokenProvider) => TokenProvider;
  readonly agentBundle?: string;
  readonly installScript?: string;
  readonly timings?: Partial<ApiTimings>;
}

export interface ApiTimings {
  /** A conductor's lease ends so long after its last renewal. Default 30 s. */
  readonly leaseMs: number;
  /** Between two looks for deployments that nobody works on. Default 5 s. */
  readonly sweepMs: number;
  /** Between two comparisons of broker and database. Default 10 s. */
  readonly reconcileMs: number;
  /** Agents give a sign of life so often. Default 10 s. */
  readonly heartbeatMs: number;
  /** So many missed heartbeats, and an agent is shown as `unknown`. Default 2. */
  readonly unknownAfterMissed: number;
  /** So many, and it is shown as `lost`. Default 10. */
  readonly lostAfterMissed: number;
  /** Mailboxes outlive their machines so long, for the last receipts. Default 30 s. */
  readonly mailboxGraceMs: number;
  /** A mailbox lives so long without contact from its reader, unless its machine says otherwise. Default 30 days. */
  readonly mailboxLifetimeMs: number;
  /** So long a letter may be on its way: a fresh mailbox comes no earlier after the end of an old one. Default 30 s. */
  readonly mailboxSettleMs: number;
  /** Output of a deployment is kept so long after its end. Default 30 days. */
  readonly keepOutputMs: number;
  /** Its history, reports and results. Default 365 days. */
  readonly keepHistoryMs: number;
  /** Between two looks for what is past its retention. Default 1 hour. */
  readonly retentionSweepMs: number;
}

const timingsDefault: ApiTimings = {
  leaseMs: 30_000,
  sweepMs: 5_000,
  reconcileMs: 10_000,
  heartbeatMs: 10_000,
  unknownAfterMissed: 2,
  lostAfterMissed: 10,
  mailboxGraceMs: 30_000,
  mailboxLifetimeMs: 30 * 86_400_000,
  mailboxSettleMs: 30_000,
  keepOutputMs: 30 * 86_400_000,
  keepHistoryMs: 365 * 86_400_000,
  retentionSweepMs: 3_600_000,
};

/** The API program but for its command line: truth, HTTP, and, once a transport is there, everything over the broker. */
export class Api {
  readonly server: FastifyInstance;
  readonly secrets: Secrets;
  readonly #context: Context;
  readonly #parts: Parts;
  readonly #address: { url: string };
  readonly #link: Link;
  #brokerSide: BrokerSide | undefined;

  private constructor(made: {
    readonly server: FastifyInstance;
    readonly secrets: Secrets;
    readonly context: Context;
    readonly parts: Parts;
    readonly address: { url: string };
    readonly link: Link;
  }) {
    this.server = made.server;
    this.secrets = made.secrets;
    this.#context = made.context;
    this.#parts = made.parts;
    this.#address = made.address;
    this.#link = made.link;
  }

  /** Opens the data folder and makes everything that needs no broker. @throws StartError. */
  static async open(options: ApiOptions): Promise<Api> {
    const { clock, random, logger, dataDirectory } = options;
    const store = options.store ?? (await openStore(dataDirectory));
    const secrets = openSecrets(dataDirectory, random);
    const owners = await Owners.load(store);
    const context: Context = { store, clock, random, logger, notices: new Notices(), owners };
    const ownTokens = new OwnTokens(context, secrets);
    const address = { url: options.publicUrl ?? '' };
    const link: Link = { transport: undefined, carrier: undefined };
    const transport = (): Transport | undefined => link.transport;
    const carrier = (): Carrier | undefined => link.carrier;
    const parts = makeParts(options, { context, secrets, publicUrl: () => address.url, transport, carrier });
    await parts.claims.restore();
    parts.timers.start();
    parts.retention.start();
    parts.keeper.start();
    const isBrokerUp = (): boolean => isUp(link.transport);
    const server = await (options.makeServer ?? createServer)({
      context,
      secrets,
      ownTokens,
      tokens: options.tokens?.(ownTokens) ?? ownTokens,
      ...parts,
      hub: new WatchHub({ db: store.db, notices: context.notices, logger, views: parts.views }),
      snapshots: new Snapshots(context, dataDirectory),
      isBrokerUp,
      transport,
      carrier,
      transportUrl: options.transportUrl,
      publicUrl: () => address.url,
      mailboxGraceMs: parts.timings.mailboxGraceMs,
      agentBundle: options.agentBundle,
      installScript: options.installScript,
    });
    return new Api({ server, secrets, context, parts, address, link });
  }

  /** Listens; answers the address. @throws StartError PORT_IN_USE. */
  async listen(at: { readonly host: string; readonly port: number }): Promise<string> {
    try {
      await this.server.listen(at);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
      throw new StartError(
        'PORT_IN_USE',
        `${at.host}:${at.port} is taken; stop what listens there, or take another port with --listen`,
        { cause },
      );
    }
    const { address, family, port } = this.server.server.address() as AddressInfo;
    const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    if (this.#address.url === '') this.#address.url = url;
    return url;
  }

  /** Begins to work over a broker. The transport stays the caller's to close, after `stop`. */
  async attach(bare: Transport): Promise<void> {
    const carrier = chooseCarrier(bare, this.#context);
    const { transport } = carrier;
    this.#link.transport = transport;
    this.#link.carrier = carrier;
    const { claims, appends, history, leases, presence, accounts, timings } = this.#parts;
    const { sweepMs, reconcileMs, heartbeatMs } = timings;
    const options = { context: this.#context, transport, claims, appends, history, leases, presence, accounts };
    this.#brokerSide = new BrokerSide({ ...options, sweepMs, reconcileMs, heartbeatMs });
    await this.#brokerSide.start();
    // Only now is there somebody to read what agents say.
    await carrier.start();
  }

  /** Ends watches and requests, then the work over the broker, then the database. */
  async stop(): Promise<void> {
    await this.server.close();
    await this.#parts.timers.stop();
    await this.#parts.retention.stop();
    await this.#parts.keeper.stop();
    await this.#link.carrier?.stop();
    await this.#brokerSide?.stop();
    await this.#context.store.close();
  }
}

/** The way to the broker, once there is one. */
interface Link {
  transport: Transport | undefined;
  carrier: Carrier | undefined;
}

type Parts = ReturnType<typeof makeParts>;

function makeParts(
  options: ApiOptions,
  base: {
    readonly context: Context;
    readonly secrets: Secrets;
    readonly publicUrl: () => string;
    readonly transport: () => Transport | undefined;
    readonly carrier: () => Carrier | undefined;
  },
) {
  const { context, secrets, publicUrl, transport, carrier } = base;
  const timings = { ...timingsDefault, ...options.timings };
  const leases = new Leases(context.clock, timings.leaseMs);
  const folded = new FoldedDeployments(apiLimits.deploymentsCachedMax.value);
  const hintExpiresMs = timings.sweepMs;
  const history = new History({ context, folded, leases, hintExpiresMs, mailboxGraceMs: timings.mailboxGraceMs });
  const accounts = options.accounts(secrets);
  const presence = new Presence({ clock: context.clock, ...timings });
  const { mailboxLifetimeMs: lifetimeMs, mailboxSettleMs: settleMs } = timings;
  const mailboxEnds: EndParts = { context, history, presence, lifetimeMs, settleMs };
  return {
    timings,
    leases,
    folded,
    history,
    accounts,
    presence,
    views: new Views({ db: context.store.db, presence, leases, clock: context.clock, carrier: () => carrier()?.kind }),
    timers: new Timers({ context, history, presence }),
    retention: new Retention({ context, ...timings, sweepMs: timings.retentionSweepMs }),
    mailboxEnds,
    keeper: new MailboxKeeper({ ...mailboxEnds, transport }),
    claims: new Claims({
      context,
      history,
      presence,
      leases,
      folded,
      hintExpiresMs,
      filesUrl: publicUrl,
      filesToken: (id) => secrets.filesToken(id),
    }),
    appends: new Appends({ context, history, folded }),
    environments: new Environments({ context, history, hintExpiresMs, presence }),
    catalog: new Catalog(context),
    machines: new Machines({ context, history, publicUrl }),
    joins: new Joins({ context, history, accounts, planKey: options.planKey, heartbeatMs: timings.heartbeatMs }),
  };
}
