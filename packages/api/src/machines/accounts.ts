import { parseTransportUrl } from '@torcello/messaging';
import { agentsExchange } from '@torcello/contracts';
import { Refusal } from '../errors.js';
import type { Secrets } from '../secrets.js';

/** Logins of agents at the broker. */
export interface AgentAccounts {
  /** @throws Refusal login_refused where agents can have no login. */
  check(): void;
  /** Makes the login (again) and answers the agent's transport URL. @throws Refusal not_ready. */
  create(agent: { readonly machineId: string; readonly enrolment: number; readonly mailbox: string }): Promise<string>;
  /** Takes the login away; fine when it is not there. */
  remove(machineId: string): Promise<void>;
}

/** Every agent gets the API's own login. Only where the operator has allowed it: whoever has it can do everything. */
export function sharedAccounts(agentTransportUrl: string): AgentAccounts {
  return {
    check: () => undefined,
    create: () => Promise.resolve(agentTransportUrl),
    remove: () => Promise.resolve(),
  };
}

/** Agents cannot join: there is no way to give them a login of their own, and sharing one is not allowed. */
export function refusedAccounts(): AgentAccounts {
  const refuse = (): never => {
    throw new Refusal(
      'login_refused',
      'this broker gives agents no login of their own, and the login of the transport URL is not handed out',
      {
        cure: 'use the embedded broker, name --broker-management, or allow it with --allow-shared-agent-login',
      },
    );
  };
  return { check: refuse, create: () => Promise.resolve().then(refuse), remove: () => Promise.resolve() };
}

export interface ManagedAccountsOptions {
  /** Base of the broker's management HTTP interface. */
  readonly managementUrl: string;
  /** The API's own transport URL, whose login manages users. */
  readonly transportUrl: string;
  /** Where agents connect to; its login is replaced. */
  readonly agentTransportUrl: string;
  readonly secrets: Secrets;
}

const requestTimeoutMs = 10_000;
/**
 * What one agent may open at the broker: control and output each have a connection to consume and one to publish, and
 * after a broken network the broker counts the old four until it misses their heartbeats. A refusal here would end the agent.
 */
const agentLimits = { 'max-connections': 8, 'max-channels': 32 } as const;

/** Logins through the management HTTP interface of RabbitMQ (and of our broker): each reads one mailbox, writes one prefix. */
export function managedAccounts(options: ManagedAccountsOptions): AgentAccounts {
  const { secrets } = options;
  const url = parseTransportUrl(options.transportUrl);
  const [own] = url.hosts;
  const authorization = `Basic ${Buffer.from(`${own?.username ?? 'guest'}:${own?.password ?? 'guest'}`).toString('base64')}`;
  const vhost = encodeURIComponent(url.vhost === undefined || url.vhost === '' ? '/' : url.vhost);
  const send = (method: 'PUT' | 'DELETE', path: string, body?: unknown): Promise<void> =>
    request({ method, url: new URL(path, options.managementUrl), authorization, body });
  return {
    check: () => undefined,
    create: async ({ machineId, enrolment, mailbox }) => {
      const user = userName(machineId);
      const password = secrets.agentPassword(machineId, enrolment);
      await send('PUT', `/api/users/${user}`, { password, tags: '' });
      await send('PUT', `/api/permissions/${vhost}/${user}`, {
        configure: '^$',
        write: `^${agentsExchange}$`,
        read: `^${mailbox.replaceAll('.', '\\.')}$`,
      });
      await send('PUT', `/api/topic-permissions/${vhost}/${user}`, {
        exchange: agentsExchange,
        write: `^${machineId}\\..*$`,
        read: '^$',
      });
      for (const [limit, value] of Object.entries(agentLimits)) {
        await send('PUT', `/api/user-limits/${user}/${limit}`, { value });
      }
      return withLogin(options.agentTransportUrl, user, password);
    },
    remove: (machineId) => send('DELETE', `/api/users/${userName(machineId)}`),
  };
}

function userName(machineId: string): string {
  return `agent-${machineId}`;
}

/** The same URL with another login for every host. */
function withLogin(url: string, user: string, password: string): string {
  const [, scheme = '', hosts = '', rest = ''] = /^([^:]+):\/\/([^/?]*)(.*)$/.exec(url) ?? [];
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  const named = hosts.split(',').map((host) => `${login}@${host.slice(host.lastIndexOf('@') + 1)}`);
  return `${scheme}://${named.join(',')}${rest}`;
}

async function request(order: {
  readonly method: string;
  readonly url: URL;
  readonly authorization: string;
  readonly body: unknown;
}): Promise<void> {
  const { method, url, authorization, body } = order;
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
    await response.arrayBuffer();
  } catch (cause) {
    throw new Refusal('not_ready', 'the management interface of the broker does not answer', {
      cause,
      cure: 'see whether the broker is up, and try again',
    });
  }
  if (response.ok || (method === 'DELETE' && response.status === 404)) return;
  throw new Refusal(
    'not_ready',
    `the management interface of the broker answers ${response.status} to ${method} ${url.pathname}`,
  );
}
