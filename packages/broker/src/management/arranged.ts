import { HttpError } from './http-error.js';
import type { Answer } from './route.js';

type Row = Readonly<Record<string, unknown>>;

/**
 * An answer as the query of its path wants it, in RabbitMQ's words: `columns=name,queue_totals.messages` leaves out all
 * others, `sort=name` and `sort_reverse=true` put rows in order, `page=2&page_size=50&name=part` gives one page of those whose
 * name holds the part.
 * @throws HttpError 400.
 */
export function arranged(answer: Answer, query: URLSearchParams): Answer {
  const { body } = answer;
  if (typeof body !== 'object' || body === null || answer.status !== 200) return answer;
  const columns = query.get('columns')?.split(',') ?? [];
  const narrow = (row: unknown): unknown => (columns.length === 0 || !isRow(row) ? row : narrowed(row, columns));
  if (!Array.isArray(body)) return { ...answer, body: narrow(body) };
  const rows = sorted(body as unknown[], query);
  const page = query.get('page');
  if (page === null) return { ...answer, body: rows.map(narrow) };
  const { items, ...about } = pageOf(rows, page, query);
  return { ...answer, body: { ...about, items: items.map(narrow) } };
}

/** Rows of a page unless the query says otherwise, and at most, as on RabbitMQ. */
const [pageSizeDefault, pageSizeMax] = [100, 500];

interface Page {
  readonly total_count: number;
  readonly filtered_count: number;
  readonly item_count: number;
  readonly page: number;
  readonly page_size: number;
  readonly page_count: number;
  readonly items: readonly unknown[];
}

function pageOf(rows: readonly unknown[], text: string, query: URLSearchParams): Page {
  const [page, size] = [Number(text), Number(query.get('page_size') ?? pageSizeDefault)];
  if (!Number.isSafeInteger(page) || page < 1) throw new HttpError(400, `page ${text} is no whole number from 1`);
  if (!Number.isSafeInteger(size) || size < 1 || size > pageSizeMax) {
    throw new HttpError(400, `page_size is a whole number from 1 to ${pageSizeMax}`);
  }
  if (query.get('use_regex') === 'true') throw new HttpError(400, 'use_regex: this broker runs no regular expressions');
  const part = query.get('name') ?? '';
  const found = part === '' ? rows : rows.filter((row) => isRow(row) && shown(row['name']).includes(part));
  const pages = Math.ceil(found.length / size);
  if (page > Math.max(1, pages)) throw new HttpError(400, `page ${page} is out of range: there are ${pages}`);
  const items = found.slice((page - 1) * size, page * size);
  const counts = { total_count: rows.length, filtered_count: found.length, item_count: items.length };
  return { ...counts, page, page_size: size, page_count: pages, items };
}

function sorted(rows: readonly unknown[], query: URLSearchParams): readonly unknown[] {
  const column = query.get('sort');
  if (column === null || column === '') return rows;
  const value = (row: unknown): unknown => (isRow(row) ? valueAt(row, column) : undefined);
  const inOrder = rows.toSorted((one, other) => compared(value(one), value(other)));
  return query.get('sort_reverse') === 'true' ? inOrder.reverse() : inOrder;
}

function compared(one: unknown, other: unknown): number {
  if (typeof one === 'number' && typeof other === 'number') return one - other;
  const [left, right] = [shown(one), shown(other)];
  return left < right ? -1 : Number(left > right);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

function narrowed(row: Row, columns: readonly string[]): Row {
  const narrow: Record<string, unknown> = {};
  for (const column of columns) {
    const value = valueAt(row, column);
    if (value === undefined) continue;
    const path = column.split('.');
    let at = narrow;
    for (const part of path.slice(0, -1)) at = (Object.hasOwn(at, part) ? at[part] : (at[part] = {})) as typeof at;
    at[path.at(-1) ?? ''] = value;
  }
  return narrow;
}

function valueAt(row: Row, column: string): unknown {
  let value: unknown = row;
  for (const part of column.split('.')) value = isRow(value) && Object.hasOwn(value, part) ? value[part] : undefined;
  return value;
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
