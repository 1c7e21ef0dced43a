import type { Routable, RouteBinding, Router } from './router.js';

/** The fanout exchange: every binding matches, whatever the keys are (AMQP 0-9-1 §3.1.3.2). */
export class FanoutRouter<Destination> implements Router<Destination> {
  readonly #bindings = new Set<RouteBinding<Destination>>();

  add(binding: RouteBinding<Destination>): void {
    this.#bindings.add(binding);
  }

  remove(binding: RouteBinding<Destination>): void {
    this.#bindings.delete(binding);
  }

  match(_routingKey: string, _message: Routable, found: (destination: Destination) => void): void {
    for (const binding of this.#bindings) found(binding.destination);
  }
}
