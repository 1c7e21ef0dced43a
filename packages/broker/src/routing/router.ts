import type { FieldTable } from '@torcello/amqp091';

/** What a router knows of one binding. The destination is opaque to it. */
export interface RouteBinding<Destination> {
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** What a router looks at in a message. */
export interface Routable {
  readonly headers: FieldTable | undefined;
}

/** The matching rule of one exchange type. Holds bindings; knows nothing of queues, permissions or durability. */
export interface Router<Destination> {
  add(binding: RouteBinding<Destination>): void;
  remove(binding: RouteBinding<Destination>): void;
  /** Calls `found` for every matching binding; one destination may be found more than once. */
  match(routingKey: string, message: Routable, found: (destination: Destination) => void): void;
}

/** Bindings grouped by a text, for the routers that look up by key. */
export class BindingGroups<Destination> {
  readonly #groups = new Map<string, Set<RouteBinding<Destination>>>();

  add(key: string, binding: RouteBinding<Destination>): void {
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, new Set([binding]));
    else group.add(binding);
  }

  remove(key: string, binding: RouteBinding<Destination>): void {
    const group = this.#groups.get(key);
    if (group === undefined) return;
    group.delete(binding);
    if (group.size === 0) this.#groups.delete(key);
  }

  get(key: string): Iterable<RouteBinding<Destination>> | undefined {
    return this.#groups.get(key);
  }
}
