import type { CliContext } from '../context.js';
import { formatTable, type Column } from './table.js';

/** What a command says: for people, or with `--json` as one JSON value on stdout and nothing else there. */
export class Printer {
  readonly isJson: boolean;
  readonly #context: Pick<CliContext, 'stdout' | 'stderr'>;

  constructor(context: Pick<CliContext, 'stdout' | 'stderr'>, isJson: boolean) {
    this.#context = context;
    this.isJson = isJson;
  }

  /** The command's answer: `value` as JSON, else the lines. */
  answer(value: unknown, lines: () => readonly string[]): void {
    if (this.isJson) this.#context.stdout.write(`${JSON.stringify(value)}\n`);
    else this.lines(lines());
  }

  /** As `answer`, with a table for people, and a line in its place when it would be empty. */
  table(
    value: unknown,
    table: { columns: readonly Column[]; rows: readonly (readonly string[])[]; empty: string },
  ): void {
    this.answer(value, () => (table.rows.length === 0 ? [table.empty] : formatTable(table.columns, table.rows)));
  }

  /** Lines for people; with `--json` they go to stderr. */
  lines(lines: readonly string[]): void {
    const sink = this.isJson ? this.#context.stderr : this.#context.stdout;
    if (lines.length > 0) sink.write(lines.map((line) => `${line}\n`).join(''));
  }
}
