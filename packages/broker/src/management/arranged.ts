import type { Answer } from './route.js';

type Row = Readonly<Record<string, unknown>>;

/**
 * An answer as the query of its path wants it, in RabbitMQ's words: `columns=name,queue_totals.messages` leaves out all
 * others, `sort=name` and `sort_reverse=true` put rows in order.
 */
export function arranged(answer: Answer, query: URLSearchParams): Answer {
  const { body } = answer;
  if (typeof body !== 'object' || body === null || answer.status !== 200) return answer;
  const columns = query.get('columns')?.split(',') ?? [];
  const narrow = (row: unknown): unknown => (columns.length === 0 || !isRow(row) ? row : narrowed(row, columns));
  if (!Array.isArray(body)) return { ...answer, body: narrow(body) };
  return { ...answer, body: sorted(body as unknown[], query).map(narrow) };
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
