import { safeText } from './text.js';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

const gap = '  ';

/**
 * Rows as aligned columns below their titles. Cells are made safe for a terminal. With `widthMax` every line is cut to
 * it, so that a line on the screen is a line of the table.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  widthMax: number = Number.POSITIVE_INFINITY,
): readonly string[] {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map((_, at) => safeText(row[at] ?? ''))),
  ];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  return cells.map((row) => {
    const line = row.map((cell, at) => pad(cell, widths[at] ?? 0, columns[at]?.align)).join(gap);
    return cut(line.trimEnd(), widthMax);
  });
}

/** Cuts a line to a width and marks the cut. */
export function cut(line: string, widthMax: number): string {
  return line.length <= widthMax ? line : `${line.slice(0, Math.max(0, widthMax - 1))}…`;
}

function pad(cell: string, width: number, align: Column['align']): string {
  return align === 'right' ? cell.padStart(width) : cell.padEnd(width);
}
