import { parse } from 'yaml';
import { usageError } from '../cli-error.js';
import type { MachineRequest } from '../client/api-client.js';
import { requireCount } from './machines-file.js';
import { fieldsOf, itemsOf, readYamlFile, textOf } from './yaml-file.js';

/** An application as a person asks for it. */
export interface ApplicationRequest {
  /** `FQN` or `FQN@VERSION`. */
  readonly app: string;
  /** Name for people; default is the package's. */
  readonly name?: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface EnvironmentRequest {
  readonly applications: readonly ApplicationRequest[];
  readonly machines: readonly MachineRequest[];
}

/**
 * Reads `env.yaml`: `applications` (each with `app`, `name`, `properties`) and `machines` (role: count).
 * @throws CliError naming what is wrong.
 */
export async function readEnvironmentFile(file: string): Promise<EnvironmentRequest> {
  const fields = fieldsOf(await readYamlFile(file), file, ['applications', 'machines']);
  const applications = itemsOf(fields['applications'] ?? [], `${file}: applications`);
  const machines = fields['machines'] ?? {};
  const roles =
    typeof machines === 'object' && !Array.isArray(machines) && machines !== null ? Object.keys(machines) : [];
  const counts = fieldsOf(machines, `${file}: machines`, roles);
  return {
    applications: applications.map((item, at) => readApplication(item, `${file}: applications[${at}]`)),
    machines: roles.map((role) => ({ role, count: requireCount(counts[role], `${file}: machines.${role}:`) })),
  };
}

function readApplication(item: unknown, where: string): ApplicationRequest {
  const fields = fieldsOf(item, where, ['app', 'name', 'properties']);
  const app = textOf(fields['app'], `${where}.app`);
  const properties = fields['properties'] ?? {};
  const known = typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
  return {
    app,
    ...(fields['name'] === undefined ? {} : { name: textOf(fields['name'], `${where}.name`) }),
    properties: fieldsOf(properties, `${where}.properties`, known),
  };
}

/**
 * Reads `--set key=value` settings. A value is YAML, so `port=8200` is a number and `greeting=Hi` a text; dots in the
 * key lead into nested objects.
 */
export function parseSettings(settings: readonly string[]): Readonly<Record<string, unknown>> {
  const properties: Record<string, unknown> = {};
  for (const setting of settings) {
    const at = setting.indexOf('=');
    if (at < 1) throw usageError(`--set ${setting} is no KEY=VALUE`, '--set port=8200');
    assign(properties, setting.slice(0, at).split('.'), scalarOf(setting.slice(at + 1)));
  }
  return properties;
}

function assign(into: Record<string, unknown>, keys: readonly string[], value: unknown): void {
  const [key, ...rest] = keys;
  if (key === undefined || key === '' || key === '__proto__') throw usageError(`--set has an empty or forbidden key`);
  if (rest.length === 0) {
    into[key] = value;
    return;
  }
  const inner = Object.hasOwn(into, key) ? into[key] : undefined;
  const next = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {};
  into[key] = next;
  assign(next, rest, value);
}

function scalarOf(text: string): unknown {
  if (text === '') return '';
  try {
    return parse(text) as unknown;
  } catch {
    return text;
  }
}
