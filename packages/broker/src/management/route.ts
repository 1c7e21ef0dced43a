import type { User } from '../access/users.js';
import type { Broker } from '../broker.js';
import type { BrokerLimits } from '../limits.js';
import type { Vhost } from '../vhost.js';
import { HttpError } from './http-error.js';

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  /** A text instead of JSON. */
  readonly text?: string;
}

/** One request, its path already matched. */
export interface RouteRequest {
  readonly broker: Broker;
  readonly limits: BrokerLimits;
  /** Who asks; undefined at a public path. */
  readonly user: User | undefined;
  /** The variable parts of the path, decoded, in order. */
  readonly names: readonly string[];
  readonly query: URLSearchParams;
  /** Why something is done, as its clients are told: the header `X-Reason`. */
  readonly reason: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Segments behind `/api/`; `*` is a variable one. */
  readonly path: string;
  /** Served without a login. */
  readonly isPublic?: true;
  /** The body may be as large as definitions are. */
  readonly isLarge?: true;
  readonly serve: (request: RouteRequest) => Answer | Promise<Answer>;
}

export const created: Answer = { status: 201 };
export const noContent: Answer = { status: 204 };

export function ok(body: unknown): Answer {
  return { status: 200, body };
}

/** The virtual host that the first variable part of the path names. @throws HttpError 404. */
export function vhostNamed({ broker, names }: RouteRequest): Vhost {
  const vhost = broker.vhosts.get(names[0] ?? '');
  if (vhost === undefined) throw new HttpError(404, `there is no vhost '${names[0] ?? ''}'`);
  return vhost;
}

/** The user whom a variable part of the path names. @throws HttpError 404. */
export function userNamed({ broker, names }: RouteRequest, at: number): User {
  const user = broker.users.get(names[at] ?? '');
  if (user === undefined) throw new HttpError(404, `there is no user '${names[at] ?? ''}'`);
  return user;
}

/** Names longer than this are refused, in bytes: the longest that AMQP can carry. */
const nameBytesMax = 255;

/** A name for something new. @throws HttpError 400. */
export function freshName(what: string, name: string): string {
  if (name !== '' && Buffer.byteLength(name) <= nameBytesMax) return name;
  throw new HttpError(400, `the name of a ${what} has 1 to ${nameBytesMax} bytes`);
}
