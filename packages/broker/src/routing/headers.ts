import { fieldValuesEqual, untyped } from '@torcello/amqp091';
import type { FieldTable } from '@torcello/amqp091';
import { AmqpError } from '../amqp-error.js';
import type { Routable, RouteBinding, Router } from './router.js';

/**
 * The headers exchange (AMQP 0-9-1 §3.1.3.4 with RabbitMQ's `x-match`): `all` (default) and `any` leave out arguments
 * that begin with `x-`, `all-with-x` and `any-with-x` do not. An argument without a value asks for presence only.
 */
export class HeadersRouter<Destination> implements Router<Destination> {
  readonly #bindings = new Set<RouteBinding<Destination>>();

  add(binding: RouteBinding<Destination>): void {
    this.#bindings.add(binding);
  }

  remove(binding: RouteBinding<Destination>): void {
    this.#bindings.delete(binding);
  }

  match(_routingKey: string, message: Routable, found: (destination: Destination) => void): void {
    const headers = message.headers ?? {};
    for (const binding of this.#bindings) if (matches(binding.arguments, headers)) found(binding.destination);
  }
}

const modes: readonly unknown[] = [undefined, 'all', 'any', 'all-with-x', 'any-with-x'];

/** @throws PRECONDITION_FAILED for an `x-match` that is not known. */
export function checkMatchMode(wanted: FieldTable): void {
  if (modes.includes(untyped(wanted['x-match']))) return;
  throw new AmqpError('PRECONDITION_FAILED', `x-match is one of ${modes.slice(1).join(', ')}`);
}

function matches(wanted: FieldTable, headers: FieldTable): boolean {
  const mode = wanted['x-match'] ?? 'all';
  const withX = mode === 'all-with-x' || mode === 'any-with-x';
  const names = Object.keys(wanted).filter((name) => name !== 'x-match' && (withX || !name.startsWith('x-')));
  const isThere = (name: string): boolean => {
    if (!Object.hasOwn(headers, name)) return false;
    const value = wanted[name];
    return value === undefined || value === null || fieldValuesEqual(value, headers[name]);
  };
  return mode === 'any' || mode === 'any-with-x' ? names.some(isThere) : names.every(isThere);
}
