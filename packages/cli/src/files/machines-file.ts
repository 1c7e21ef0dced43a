import { limits } from '@torcello/contracts';
import { usageError } from '../cli-error.js';
import type { MachineRequest } from '../client/api-client.js';
import { fieldsOf, itemsOf, readYamlFile, textOf } from './yaml-file.js';

/**
 * Reads `machines.yaml`: a list under `machines`, each item a `role` with a `count` or with `names`.
 * @throws CliError naming the item that is wrong.
 */
export async function readMachinesFile(file: string): Promise<readonly MachineRequest[]> {
  const { machines } = fieldsOf(await readYamlFile(file), file, ['machines']);
  return itemsOf(machines, `${file}: machines`).map((item, at) => readItem(item, `${file}: machines[${at}]`));
}

function readItem(item: unknown, where: string): MachineRequest {
  const fields = fieldsOf(item, where, ['role', 'count', 'names']);
  const role = textOf(fields['role'], `${where}.role`);
  if (fields['names'] === undefined) return { role, count: requireCount(fields['count'] ?? 1, `${where}.count`) };
  if (fields['count'] !== undefined) throw usageError(`${where} has a count and names`, 'keep one of the two');
  const names = itemsOf(fields['names'], `${where}.names`).map((name, at) => textOf(name, `${where}.names[${at}]`));
  return { role, names };
}

/** A number of machines that one request may add. @throws CliError for anything else. */
export function requireCount(value: unknown, where: string): number {
  const max = limits.machinesPerRequestMax.value;
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= max) return count;
  throw usageError(`${where} ${String(value)} is no whole number from 1 to ${max}`);
}

/** Reads `ROLE=COUNT`. */
export function parseRoleCount(text: string, flag: string): MachineRequest {
  const [role, count, ...more] = text.split('=');
  if (role === undefined || role === '' || count === undefined || more.length > 0) {
    throw usageError(`${flag} ${text} is no ROLE=COUNT`, `${flag} web=3`);
  }
  return { role, count: requireCount(count, `${flag} ${text}:`) };
}
