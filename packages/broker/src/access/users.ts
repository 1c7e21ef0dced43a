import type { Random } from '@torcello/platform';
import type { CommitLog } from '../store/commit-log.js';
import { recordKey, recordKinds } from '../topology-records.js';
import { allNames, matchesName, noNames } from './name-pattern.js';
import type { NamePattern } from './name-pattern.js';
import { hashPassword, PasswordCheck } from './password.js';
import { matchesTopic } from './topic-pattern.js';

/** What a user may do with names in one virtual host; RabbitMQ's three rights. */
export interface Permissions {
  readonly configure: NamePattern;
  readonly write: NamePattern;
  readonly read: NamePattern;
}
/** What routing keys a user may use on one topic exchange, where `{username}` and `{vhost}` stand for the user's; without an entry, all. */
export type TopicPermissions = Pick<Permissions, 'write' | 'read'>;
export type Right = keyof Permissions;

/** A user, as it is kept. */
export interface User {
  readonly name: string;
  /** Empty: cannot log in. */
  readonly passwordHash: string;
  /** `administrator` opens the management interface. */
  readonly tags: readonly string[];
  readonly permissions: Readonly<Record<string, Permissions>>;
  /** By virtual host and exchange. */
  readonly topicPermissions: Readonly<Record<string, Readonly<Record<string, TopicPermissions>>>>;
  /** Counts that this user may not pass; without an entry the broker's own limits hold. */
  readonly limits?: Readonly<Partial<Record<UserLimit, number>>>;
}

/** Limits of one user, in RabbitMQ's words; channels are counted over all connections. */
export const userLimits = ['max-connections', 'max-channels'] as const;
export type UserLimit = (typeof userLimits)[number];

export const administratorTag = 'administrator';
export const everything: Permissions = { configure: allNames, write: allNames, read: allNames };

/** The users of a broker, kept in its commit log. Every change makes a new `version`, for whoever remembers answers. */
export class Users {
  readonly #users = new Map<string, User>();
  readonly #log: CommitLog;
  readonly #random: Random;
  readonly #passwords: PasswordCheck;
  readonly #held = new Map<string, Promise<void>>();
  #version = 0;

  constructor(log: CommitLog, random: Random) {
    this.#log = log;
    this.#random = random;
    this.#passwords = new PasswordCheck(random);
  }

  get version(): number {
    return this.#version;
  }
  get size(): number {
    return this.#users.size;
  }

  get(name: string): User | undefined {
    return this.#users.get(name);
  }

  all(): Iterable<User> {
    return this.#users.values();
  }

  /**
   * The user whose password this is. A wrong name costs as little as it can; a wrong password is not told apart. When the
   * password changes meanwhile, the new one counts.
   */
  async login(name: string, password: string): Promise<User | undefined> {
    const held = this.#held.get(name);
    if (held !== undefined) await held;
    const user = this.#users.get(name);
    if (user === undefined || user.passwordHash === '') return undefined;
    const isRight = await this.#passwords.matches(password, user.passwordHash);
    const now = this.#users.get(name);
    if (now?.passwordHash === user.passwordHash) return isRight ? now : undefined;
    this.#passwords.forget(user.passwordHash);
    return this.login(name, password);
  }

  /** Lets logins with a name wait until its user is made; `made` itself began before and does not. */
  async hold(name: string, made: Promise<void>): Promise<void> {
    this.#held.set(name, made);
    try {
      await made;
    } finally {
      this.#held.delete(name);
    }
  }

  /** Makes or changes a user; rights of one that exists stay. `password` undefined makes one that cannot log in. */
  async put(name: string, wish: { readonly password?: string; readonly tags: readonly string[] }): Promise<void> {
    const passwordHash = wish.password === undefined ? '' : await hashPassword(wish.password, this.#random);
    const there = this.#users.get(name);
    if (there !== undefined) this.#passwords.forget(there.passwordHash);
    const { permissions = {}, topicPermissions = {}, limits = {} } = there ?? {};
    this.#save({ name, passwordHash, tags: wish.tags, permissions, topicPermissions, limits });
  }

  /** Puts a whole user, as an import of definitions has it. */
  restore(user: User): void {
    const there = this.#users.get(user.name);
    if (there !== undefined) this.#passwords.forget(there.passwordHash);
    this.#save(user);
  }

  /** False when there is no such user. */
  delete(name: string): boolean {
    const user = this.#users.get(name);
    if (user === undefined) return false;
    this.#passwords.forget(user.passwordHash);
    this.#users.delete(name);
    this.#version++;
    this.#log.append({ kind: 'delete-entity', key: recordKey(recordKinds.user, name) });
    return true;
  }

  setPermissions(user: User, vhost: string, permissions: Permissions): void {
    this.#save({ ...user, permissions: { ...user.permissions, [vhost]: permissions } });
  }

  setTopicPermissions(
    user: User,
    at: { readonly vhost: string; readonly exchange: string },
    rights: TopicPermissions,
  ): void {
    const inVhost = { ...user.topicPermissions[at.vhost], [at.exchange]: rights };
    this.#save({ ...user, topicPermissions: { ...user.topicPermissions, [at.vhost]: inVhost } });
  }

  /** Takes away what users may in a virtual host that ends. */
  forgetVhost(vhost: string): void {
    for (const user of this.#users.values()) {
      if (!Object.hasOwn(user.permissions, vhost) && !Object.hasOwn(user.topicPermissions, vhost)) continue;
      const { [vhost]: _rights, ...permissions } = user.permissions;
      const { [vhost]: _topicRights, ...topicPermissions } = user.topicPermissions;
      this.#save({ ...user, permissions, topicPermissions });
    }
  }

  /** Undefined takes the limit away. It holds for what is opened from now on. */
  setLimit(user: User, limit: UserLimit, most: number | undefined): void {
    const { [limit]: _old, ...others } = user.limits ?? {};
    this.#save({ ...user, limits: most === undefined ? others : { ...others, [limit]: most } });
  }

  recover(user: User): void {
    this.#users.set(user.name, user);
  }

  #save(user: User): void {
    this.#users.set(user.name, user);
    this.#version++;
    const key = recordKey(recordKinds.user, user.name);
    this.#log.append({ kind: 'put-entity', key, value: JSON.stringify(user) });
  }
}

/** Whether a user may enter a virtual host at all. */
export function mayEnter(user: User, vhost: string): boolean {
  return Object.hasOwn(user.permissions, vhost);
}

/** Whether a user has a right on a name. The nameless exchange is called `amq.default` here, as on RabbitMQ. */
export function may(user: User, right: Right, at: { readonly vhost: string; readonly name: string }): boolean {
  const permissions = ownEntry(user.permissions, at.vhost);
  return matchesName(permissions?.[right] ?? noNames, at.name === '' ? 'amq.default' : at.name);
}

/** Whether a user may use a routing key on a topic exchange. */
export function mayUseTopic(
  user: User,
  right: keyof TopicPermissions,
  at: { readonly vhost: string; readonly exchange: string; readonly routingKey: string },
): boolean {
  const rights = ownEntry(ownEntry(user.topicPermissions, at.vhost) ?? {}, at.exchange);
  return rights === undefined || matchesTopic(rights[right], at.routingKey, { username: user.name, vhost: at.vhost });
}

/** Names are chosen by clients, and `constructor` is one. */
function ownEntry<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
