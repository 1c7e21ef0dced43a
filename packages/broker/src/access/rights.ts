import { AmqpError } from '../amqp-error.js';
import { may, mayUseTopic } from './users.js';
import type { Right, User, Users } from './users.js';

const rememberedMax = 256;

/**
 * The rights of one logged-in user in one virtual host. Answers are remembered until any user changes, so that a publish
 * costs a look-up and a changed right holds from the next operation on.
 */
export class Rights {
  readonly #users: Users;
  readonly #vhost: string;
  #user: User;
  #version: number;
  readonly #allowed = new Set<string>();

  constructor(users: Users, user: User, vhost: string) {
    this.#users = users;
    this.#vhost = vhost;
    this.#user = user;
    this.#version = users.version;
  }

  get userName(): string {
    return this.#user.name;
  }

  /** Whether the user may publish in the name of others: RabbitMQ's tag `impersonator`. */
  get mayImpersonate(): boolean {
    this.#refresh();
    return this.#user.tags.includes('impersonator');
  }

  /** @throws ACCESS_REFUSED. */
  need(right: Right, kind: 'queue' | 'exchange', name: string): void {
    if (this.has(right, name)) return;
    const shown = name === '' ? 'amq.default' : name;
    const text = `${right} access to ${kind} '${shown}' in vhost '${this.#vhost}' refused for user '${this.userName}'`;
    throw new AmqpError('ACCESS_REFUSED', text);
  }

  has(right: Right, name: string): boolean {
    return this.#remembered(`${right} ${name}`, () => may(this.#user, right, { vhost: this.#vhost, name }));
  }

  /** Any right at all: what it takes to learn that something exists. @throws ACCESS_REFUSED. */
  needAny(kind: 'queue' | 'exchange', name: string): void {
    if (this.has('configure', name) || this.has('write', name) || this.has('read', name)) return;
    const text = `access to ${kind} '${name}' in vhost '${this.#vhost}' refused for user '${this.userName}'`;
    throw new AmqpError('ACCESS_REFUSED', text);
  }

  /** @throws ACCESS_REFUSED. */
  needTopic(right: 'write' | 'read', exchange: string, routingKey: string): void {
    const at = { vhost: this.#vhost, exchange, routingKey };
    const isAllowed = this.#remembered(`topic ${right} ${exchange.length} ${exchange} ${routingKey}`, () =>
      mayUseTopic(this.#user, right, at),
    );
    if (isAllowed) return;
    const text = `${right} access to topic '${routingKey}' in exchange '${exchange}' in vhost '${this.#vhost}' refused for user '${this.userName}'`;
    throw new AmqpError('ACCESS_REFUSED', text);
  }

  #remembered(question: string, ask: () => boolean): boolean {
    this.#refresh();
    if (this.#allowed.has(question)) return true;
    if (!ask()) return false;
    if (this.#allowed.size >= rememberedMax) this.#allowed.clear();
    this.#allowed.add(question);
    return true;
  }

  /** A user who was deleted keeps no right. */
  #refresh(): void {
    if (this.#version === this.#users.version) return;
    this.#version = this.#users.version;
    this.#allowed.clear();
    this.#user = this.#users.get(this.#user.name) ?? { ...this.#user, permissions: {}, topicPermissions: {} };
  }
}
