import { hexId } from '@torcello/platform';
import type { Random } from '@torcello/platform';
import { Refusal } from '../errors.js';

/**
 * Murano's application object: `{"?": {"id", "type", "name"?}, <property>: value}`. The type names the package:
 * `<full name>`, `<full name>/<version>` or, after a deployment, `<full name>/<version>@<package id>`.
 */
export interface ServiceObject {
  readonly '?': { readonly id: string; readonly type: string; readonly [key: string]: unknown };
  readonly [property: string]: unknown;
}

const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
/** Services of one environment. */
const servicesMax = 200;

export function parseServices(text: string): readonly ServiceObject[] {
  return JSON.parse(text) as readonly ServiceObject[];
}

/** Checks a list of application objects from outside; an object without an id gets one. */
export function readServices(value: unknown, random: Random): readonly ServiceObject[] {
  if (!Array.isArray(value)) throw new Refusal('invalid_request', 'services are a list of application objects');
  if (value.length > servicesMax)
    throw new Refusal('too_large', `${value.length} services; at most ${servicesMax} are allowed`);
  const services = value.map((service: unknown) => readService(service, random));
  const ids = services.map((service) => service['?'].id);
  const double = ids.find((id, place) => ids.indexOf(id) !== place);
  if (double !== undefined) throw new Refusal('invalid_request', `two services have the id ${double}`);
  return services;
}

/** Checks one application object from outside. */
export function readService(value: unknown, random: Random): ServiceObject {
  if (!isObject(value)) throw new Refusal('invalid_request', 'an application object is a JSON object');
  const header = value['?'];
  if (!isObject(header)) throw new Refusal('invalid_request', 'an application object needs a "?" with its type');
  const { type, id = hexId(random) } = header;
  if (typeof type !== 'string' || type.length > 400)
    throw new Refusal('invalid_request', 'an application object needs "?"."type", the full name of its package');
  if (typeof id !== 'string' || !idPattern.test(id))
    throw new Refusal('invalid_request', '"?"."id" has to be 1 to 64 letters, digits, "-" or "_"');
  return { ...value, '?': { ...header, id, type } };
}

/** The properties alone. */
export function propertiesOf(service: ServiceObject): Record<string, unknown> {
  return Object.fromEntries(Object.entries(service).filter(([key]) => key !== '?'));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
