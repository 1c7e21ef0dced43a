import { BindingGroups } from './router.js';
import type { Routable, RouteBinding, Router } from './router.js';

/** The direct exchange: the routing key equals the binding's (AMQP 0-9-1 §3.1.3.1). */
export class DirectRouter<Destination> implements Router<Destination> {
  readonly #byKey = new BindingGroups<Destination>();

  add(binding: RouteBinding<Destination>): void {
    this.#byKey.add(binding.routingKey, binding);
  }

  remove(binding: RouteBinding<Destination>): void {
    this.#byKey.remove(binding.routingKey, binding);
  }

  match(routingKey: string, _message: Routable, found: (destination: Destination) => void): void {
    const bindings = this.#byKey.get(routingKey);
    if (bindings === undefined) return;
    for (const binding of bindings) found(binding.destination);
  }
}
