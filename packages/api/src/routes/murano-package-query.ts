import type { PackageRow } from '../database/tables.js';
import { Refusal } from '../errors.js';

export type PackageQuery = Readonly<Record<string, string | readonly string[] | undefined>>;

const pageDefault = 20;
const pageMax = 500;
const orders: Readonly<Record<string, (row: PackageRow) => string | number>> = {
  fqn: (row) => row.full_name,
  name: (row) => row.name.toLowerCase(),
  created: (row) => row.created_at,
};

/** The packages that a query of Murano's asks for, a page of them (Murano section 2). @throws Refusal invalid_request. */
export function pageOf(
  rows: readonly PackageRow[],
  query: PackageQuery,
  categories: ReadonlyMap<string, readonly string[]>,
): { readonly rows: readonly PackageRow[]; readonly nextMarker: string | undefined } {
  const limit = readLimit(textOf(query['limit']));
  const order = orders[(textOf(query['order_by']) ?? 'fqn').split(',')[0] ?? ''] ?? orders['fqn'];
  const direction = textOf(query['sort_dir']) === 'desc' ? -1 : 1;
  const fitting = rows
    .filter((row) => fits(row, query, categories.get(row.id) ?? []))
    .map((row, place) => ({ row, place, key: order?.(row) ?? '' }))
    .toSorted((a, b) => (a.key < b.key ? -direction : a.key > b.key ? direction : a.place - b.place))
    .map(({ row }) => row);
  const marker = textOf(query['marker']);
  const from = marker === undefined ? 0 : fitting.findIndex((row) => row.id === marker) + 1;
  const shown = fitting.slice(from, from + limit);
  const hasMore = from + limit < fitting.length;
  return { rows: shown, nextMarker: hasMore ? shown.at(-1)?.id : undefined };
}

function readLimit(text: string | undefined): number {
  if (text === undefined) return pageDefault;
  if (!/^\d{1,9}$/.test(text) || Number(text) < 1)
    throw new Refusal('invalid_request', 'limit is a whole number of 1 or more');
  return Math.min(pageMax, Number(text));
}

function fits(row: PackageRow, query: PackageQuery, categories: readonly string[]): boolean {
  const search = textOf(query['search'])?.toLowerCase();
  const tags = JSON.parse(row.tags) as readonly string[];
  const classes = JSON.parse(row.classes) as readonly string[];
  const words = `${row.full_name} ${row.name} ${row.description} ${row.author} ${row.tags} ${categories.join(' ')}`;
  return (
    (row.is_enabled === 1 || isTrue(query['include_disabled'])) &&
    isOneOf(query['id'], [row.id]) &&
    isOneOf(query['category'], categories) &&
    isOneOf(query['tag'], tags) &&
    isOneOf(query['fqn'], [row.full_name]) &&
    isOneOf(query['version'], [row.version]) &&
    isOneOf(query['name'], [row.name]) &&
    isOneOf(query['type'], [row.type]) &&
    isOneOf(query['class_name'], [row.full_name, ...classes]) &&
    (search === undefined || search.split(/\s+/).every((word) => words.toLowerCase().includes(word)))
  );
}

/** A value, or several as `in:a,b`; absent fits all. */
function isOneOf(wanted: PackageQuery[string], there: readonly string[]): boolean {
  const text = textOf(wanted);
  if (text === undefined) return true;
  const choices = text.startsWith('in:') ? text.slice(3).split(',') : [text];
  return choices.some((choice) => there.includes(choice));
}

function isTrue(value: PackageQuery[string]): boolean {
  return /^(true|1)$/i.test(textOf(value) ?? '');
}

function textOf(value: PackageQuery[string]): string | undefined {
  return typeof value === 'string' ? value : value?.at(-1);
}
