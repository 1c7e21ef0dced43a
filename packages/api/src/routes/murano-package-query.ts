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
  const order = orders[(textOf(query['order_by']) ?? 'name').split(',')[0] ?? ''] ?? orders['name'];
  const direction = readDirection(textOf(query['sort_dir']));
  const fitting = rows
    .filter((row) => fits(row, query))
    .map((row) => ({ row, categories: categories.get(row.id) ?? [] }))
    .filter((found) => isOneOf(query['category'], found.categories))
    .map((found, place) => ({ row: found.row, rank: rankOf(found, query), key: order?.(found.row) ?? '', place }))
    .filter(({ rank }) => rank !== undefined)
    .toSorted((a, b) => (a.rank ?? 0) - (b.rank ?? 0) || direction * compare(a.key, b.key) || a.place - b.place)
    .map(({ row }) => row);
  const from = placeAfter(fitting, textOf(query['marker']));
  const shown = fitting.slice(from, from + limit);
  const hasMore = from + limit < fitting.length;
  return { rows: shown, nextMarker: hasMore ? shown.at(-1)?.id : undefined };
}

/** @throws Refusal invalid_request. */
export function readLimit(text: string | undefined): number {
  if (text === undefined) return pageDefault;
  if (!/^\d{1,9}$/.test(text) || Number(text) < 1)
    throw new Refusal('invalid_request', 'limit is a whole number of 1 or more');
  return Math.min(pageMax, Number(text));
}

/** 1 for ascending. @throws Refusal invalid_request. */
export function readDirection(text: string | undefined): 1 | -1 {
  if (text !== undefined && !['asc', 'desc'].includes(text))
    throw new Refusal('invalid_request', `sort_dir is asc or desc, not ${text}`);
  return text === 'desc' ? -1 : 1;
}

/** Where the page after the row that a marker names begins. @throws Refusal not_found. */
export function placeAfter(rows: readonly { readonly id: string }[], marker: string | undefined): number {
  if (marker === undefined) return 0;
  const place = rows.findIndex(({ id }) => id === marker);
  if (place < 0) throw new Refusal('not_found', `the marker ${marker} is none of the list`);
  return place + 1;
}

export function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** How early the field stands in which one of the words that are searched for is found; undefined where none is. */
function rankOf(
  { row, categories }: { readonly row: PackageRow; readonly categories: readonly string[] },
  query: PackageQuery,
): number | undefined {
  const search = textOf(query['search']);
  if (search === undefined) return 0;
  const words = search.toLowerCase().split(/[;,]/);
  const fields = [row.name, row.full_name, row.description, categories.join('\n'), row.tags, row.classes, row.author];
  const rank = fields.findIndex((field) => words.some((word) => field.toLowerCase().includes(word)));
  return rank < 0 ? undefined : rank;
}

function fits(row: PackageRow, query: PackageQuery): boolean {
  const tags = JSON.parse(row.tags) as readonly string[];
  const classes = JSON.parse(row.classes) as readonly string[];
  return (
    (row.is_enabled === 1 || isTrue(query['include_disabled'])) &&
    isOneOf(query['id'], [row.id]) &&
    isOneOf(query['tag'], tags) &&
    isOneOf(query['fqn'], [row.full_name]) &&
    isOneOf(query['version'], [row.version]) &&
    isOneOf(query['name'], [row.name]) &&
    isOneOf(query['type'], [row.type, row.type.toLowerCase()]) &&
    isOneOf(query['class_name'], [row.full_name, ...classes])
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
