import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { CliError, systemCode, usageError } from '../cli-error.js';

const fileBytesMax = 1_048_576;

/** The value of a YAML file. @throws CliError naming the file and the place in it. */
export async function readYamlFile(file: string): Promise<unknown> {
  const text = await readText(file);
  if (text.length > fileBytesMax) throw usageError(`${file} has more than ${fileBytesMax} bytes`);
  const document = parseDocument(text, { prettyErrors: true });
  const flaw = document.errors[0];
  if (flaw !== undefined) {
    const place = flaw.linePos?.[0];
    const where = place === undefined ? file : `${file}:${place.line}:${place.col}`;
    throw usageError(`${where}: ${flaw.message.split('\n')[0] ?? flaw.code}`);
  }
  return document.toJS({ maxAliasCount: 100 }) as unknown;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError('no_file', `cannot read ${file} (${systemCode(error) ?? 'unknown error'})`);
  }
}

/** The fields of a mapping. @throws CliError for anything else, and for a field that is not among `known`. */
export function fieldsOf(value: unknown, where: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw usageError(`${where} is no mapping`);
  const stranger = Object.keys(value).find((key) => !known.includes(key));
  if (stranger !== undefined)
    throw usageError(`${where} has an unknown field "${stranger}"`, `known: ${known.join(', ')}`);
  return value as Record<string, unknown>;
}

/** The items of a list. @throws CliError for anything else. */
export function itemsOf(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw usageError(`${where} is no list`);
  return value as unknown[];
}

/** A text that is not empty. @throws CliError for anything else. */
export function textOf(value: unknown, where: string): string {
  if (typeof value !== 'string' || value === '') throw usageError(`${where} is no text`);
  return value;
}
