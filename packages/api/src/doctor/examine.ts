import { createRequire } from 'node:module';
import type { CarrierKind } from '@torcello/contracts';
import type { Capabilities } from '@torcello/messaging';
import { Refusal } from '../errors.js';
import type { ApiServices } from '../routes/api-services.js';
import { isoTime } from '../times.js';
import type { AgentState } from '../machines/presence.js';

const { version } = createRequire(import.meta.url)('@torcello/api/package.json') as { version: string };

/** Deployments may wait so long for a conductor before that is a finding. */
const queuedMsMax = 30_000;

/** One thing that is good, doubtful, or wrong. */
export interface Finding {
  readonly check: 'broker' | 'carrier' | 'conductors' | 'agents' | 'joins' | 'outbox';
  readonly level: 'ok' | 'warning' | 'failed';
  readonly text: string;
  /** What changes it. */
  readonly cure?: string;
}

export interface Examination {
  readonly version: string;
  readonly node: string;
  /** The API's clock. */
  readonly now: string;
  readonly transport: {
    /** Without login; null where the API was not told. */
    readonly url: string | null;
    readonly state: 'connected' | 'away' | 'never reached';
    /** Of the latest connection. */
    readonly capabilities?: Capabilities;
  };
  /** How plans get to agents; absent until the broker was reached. */
  readonly carrier?: CarrierKind;
  /** What the transport lacks for mailboxes. */
  readonly missing?: readonly string[];
  readonly lettersWaiting: number;
  readonly agents: Readonly<Record<AgentState, number>>;
  readonly findings: readonly Finding[];
}

/** Looks at the broker's link, the carrier, conductors and agents. */
export async function examine(services: ApiServices): Promise<Examination> {
  const { context, carrier: carrierOf, isBrokerUp, transportUrl } = services;
  const carrier = carrierOf();
  const state = isBrokerUp() ? 'connected' : carrier === undefined ? 'never reached' : 'away';
  const { agents, versions } = await countAgents(services);
  const lettersWaiting = await countLetters(services);
  const findings = [
    brokerFinding(services, state),
    ...(carrier === undefined ? [] : [carrierFinding(carrier.kind, carrier.missing)]),
    await conductorFinding(services),
    ...joinFindings(services),
    agentFinding(agents, versions),
    ...(lettersWaiting === 0 || state !== 'connected' ? [] : [outboxFinding(lettersWaiting)]),
  ];
  return {
    version,
    node: process.version,
    now: new Date(context.clock.now()).toISOString(),
    transport: {
      url: transportUrl ?? null,
      state,
      ...(carrier === undefined ? {} : { capabilities: carrier.capabilities() }),
    },
    ...(carrier === undefined ? {} : { carrier: carrier.kind, missing: carrier.missing }),
    lettersWaiting,
    agents,
    findings,
  };
}

function brokerFinding({ presence, transportUrl }: ApiServices, state: Examination['transport']['state']): Finding {
  const at = transportUrl === undefined ? 'the broker' : `the broker at ${transportUrl}`;
  if (state === 'connected') return { check: 'broker', level: 'ok', text: `${at} is reached` };
  const { linkDownSinceMs } = presence;
  const since = linkDownSinceMs === undefined ? '' : ` since ${isoTime(linkDownSinceMs)}`;
  const cure = 'start the broker, or correct --transport; the log of the API says why it is not reached';
  return { check: 'broker', level: 'failed', text: `${at} is not reached${since}: deployments stay queued`, cure };
}

function carrierFinding(kind: CarrierKind, missing: readonly string[]): Finding {
  if (kind === 'mailboxes')
    return {
      check: 'carrier',
      level: 'ok',
      text: 'mailboxes: plans wait at the broker until their machines read them',
    };
  return {
    check: 'carrier',
    level: 'ok',
    text:
      `handshake: this transport lacks ${missing.join(', ')}, so plans wait in the database of the API ` +
      'and agents are called with them when they say that they run',
    cure: 'nothing has to change; for mailboxes at the broker take rabbit:// (RabbitMQ) or the embedded broker',
  };
}

async function conductorFinding({ context, leases }: ApiServices): Promise<Finding> {
  const rows = await context.store.db
    .selectFrom('deployments')
    .select('id')
    .where('finished_at', 'is', null)
    .where('is_parked', '=', 0)
    .where('accepted_at', '<', context.clock.now() - queuedMsMax)
    .execute();
  const idle = rows.filter(({ id }) => !leases.isLive(id)).length;
  if (idle === 0) return { check: 'conductors', level: 'ok', text: 'no deployment waits for a conductor' };
  const text = `${idle} deployments have work to do and no conductor takes them`;
  return { check: 'conductors', level: 'warning', text, cure: 'torcello up, or torcello conductor; see its log' };
}

function joinFindings({ joins }: ApiServices): readonly Finding[] {
  try {
    joins.check();
    return [{ check: 'joins', level: 'ok', text: 'agents can join' }];
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { cure = 'see docs/settings.md' } = error;
    return [{ check: 'joins', level: 'warning', text: `agents cannot join: ${error.message}`, cure }];
  }
}

function agentFinding(agents: Examination['agents'], versions: readonly string[]): Finding {
  const joined = agents.online + agents.unknown + agents.lost;
  const others = versions.filter((other) => other !== version);
  const text = `${agents.online} of ${joined} agents are online, ${agents['never joined']} machines were never joined`;
  if (others.length > 0) {
    const told = `${text}; some agents are of version ${others.join(', ')}, the API of ${version}`;
    return { check: 'agents', level: 'warning', text: told, cure: 'install the agent anew: GET /install.sh' };
  }
  if (agents.lost === 0) return { check: 'agents', level: 'ok', text };
  return { check: 'agents', level: 'warning', text: `${text}, ${agents.lost} are lost`, cure: 'torcello agent list' };
}

function outboxFinding(letters: number): Finding {
  return { check: 'outbox', level: 'ok', text: `${letters} letters are on their way to the broker` };
}

async function countLetters({ context }: ApiServices): Promise<number> {
  const { count } = await context.store.db
    .selectFrom('outbox')
    .select((column) => column.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(count);
}

async function countAgents(services: ApiServices): Promise<{
  readonly agents: Record<AgentState, number>;
  readonly versions: readonly string[];
}> {
  const rows = await services.context.store.db
    .selectFrom('machines')
    .select(['joined_at', 'last_heartbeat_at', 'agent_version'])
    .execute();
  const agents: Record<AgentState, number> = { online: 0, unknown: 0, lost: 0, 'never joined': 0 };
  for (const row of rows) {
    const { state } = services.presence.judge({ joinedAtMs: row.joined_at, lastHeartbeatAtMs: row.last_heartbeat_at });
    agents[state] += 1;
  }
  const versions = new Set(rows.flatMap((row) => (row.agent_version === null ? [] : [row.agent_version])));
  return { agents, versions: [...versions].toSorted() };
}
