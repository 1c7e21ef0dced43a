import { createHash } from 'node:crypto';
import type { Clock, Logger } from '@torcello/platform';
import { Refusal } from '../errors.js';
import type { Principal, TokenProvider } from './principal.js';

export interface KeystoneOptions {
  /** Base of the identity API, version 3, as `http://keystone:5000/v3`. */
  readonly url: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** So long an answer is believed: a token that is revoked opens nothing afterwards. Default 30 s. */
  readonly cacheMs?: number;
  /** Holders of this role are administrators. Default `admin`, as in Murano. */
  readonly adminRole?: string;
  readonly fetch?: typeof globalThis.fetch;
}

interface Known {
  readonly principal: Principal | undefined;
  readonly untilMs: number;
}

const cacheMsDefault = 30_000;
const tokensCachedMax = 10_000;
const requestTimeoutMs = 10_000;
const tokenCharsMax = 8_192;
const userNameCharsMax = 255;

/**
 * Tokens of an OpenStack Keystone, Identity API v3. A token is asked about with itself, so that the API needs no login of
 * its own there; Keystone answers 404 or 401 for what is expired, revoked or not its own. Only tokens with a project are
 * let in: the project is the tenant.
 */
export class KeystoneTokens implements TokenProvider {
  readonly #options: KeystoneOptions;
  readonly #known = new Map<string, Known>();
  /** One question at a time for each token. */
  readonly #asking = new Map<string, Promise<Known>>();

  constructor(options: KeystoneOptions) {
    this.#options = options;
  }

  async check(token: string): Promise<Principal | undefined> {
    if (token.length > tokenCharsMax || !/^[\x21-\x7e]+$/.test(token)) return undefined;
    const digest = createHash('sha256').update(token).digest('hex');
    const known = this.#known.get(digest);
    if (known !== undefined && this.#options.clock.now() < known.untilMs) return known.principal;
    const asking = this.#asking.get(digest) ?? this.#ask(token).finally(() => this.#asking.delete(digest));
    this.#asking.set(digest, asking);
    const answer = await asking;
    this.#keep(digest, answer);
    return answer.principal;
  }

  #keep(digest: string, known: Known): void {
    this.#known.delete(digest);
    this.#known.set(digest, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > tokensCachedMax && oldest !== undefined) this.#known.delete(oldest);
  }

  async #ask(token: string): Promise<Known> {
    const { url, clock, logger, cacheMs = cacheMsDefault, adminRole = 'admin' } = this.#options;
    const { fetch = globalThis.fetch } = this.#options;
    const untilMs = clock.now() + cacheMs;
    let status: number;
    let document: unknown;
    try {
      const response = await fetch(`${url.replace(/\/+$/, '')}/auth/tokens?nocatalog`, {
        headers: { 'x-auth-token': token, 'x-subject-token': token, accept: 'application/json' },
        signal: AbortSignal.timeout(requestTimeoutMs),
      });
      status = response.status;
      document = await response.json().catch(() => undefined);
    } catch (cause) {
      logger.warn('Keystone does not answer', { url, error: cause });
      throw away(cause);
    }
    if (status === 401 || status === 403 || status === 404) return { principal: undefined, untilMs };
    if (status !== 200) {
      logger.warn('Keystone cannot check a token', { url, status });
      throw away();
    }
    const read = readToken(document, adminRole);
    if (read === undefined) return { principal: undefined, untilMs };
    const isOver = read.expiresAtMs <= clock.now();
    return { principal: isOver ? undefined : read.principal, untilMs: Math.min(untilMs, read.expiresAtMs) };
  }
}

function away(cause?: unknown): Refusal {
  return new Refusal('not_ready', 'Keystone cannot be asked about the token', {
    cause,
    cure: 'try again; the log of the API says what is wrong',
  });
}

/** Undefined where the token has no project, or the answer is none of Keystone's. */
function readToken(
  document: unknown,
  adminRole: string,
): { readonly principal: Principal; readonly expiresAtMs: number } | undefined {
  const token = objectIn(document, 'token');
  const { id: userId, name } = objectIn(token, 'user');
  const tenantId = objectIn(token, 'project')['id'];
  const expiresAtMs = Date.parse(String(token['expires_at']));
  const { roles } = token;
  if (typeof userId !== 'string' || typeof tenantId !== 'string' || tenantId === '' || Number.isNaN(expiresAtMs))
    return undefined;
  const isAdmin = Array.isArray(roles) && roles.some((role) => objectIn({ role }, 'role')['name'] === adminRole);
  const userName = typeof name === 'string' && name !== '' ? name.slice(0, userNameCharsMax) : undefined;
  return { principal: { userId, tenantId, isAdmin, ...(userName === undefined ? {} : { userName }) }, expiresAtMs };
}

function objectIn(value: unknown, name: string): Readonly<Record<string, unknown>> {
  const inner = (value as Readonly<Record<string, unknown>> | undefined)?.[name];
  return typeof inner === 'object' && inner !== null ? (inner as Readonly<Record<string, unknown>>) : {};
}
