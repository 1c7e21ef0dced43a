import type { DeploymentRow } from '../database/tables.js';
import { isoTime } from '../times.js';
import type { RetentionSettings } from './retention.js';

/** What a reader is told in the place of output that is past its retention; undefined while it is kept. */
export function pastOutput(row: DeploymentRow, { keepOutputMs }: RetentionSettings): string | undefined {
  if (row.output_dropped_at === null) return undefined;
  const at = isoTime(row.output_dropped_at);
  return `the output was dropped at ${at}: it is kept for ${days(keepOutputMs)} after the end (--keep-output)`;
}

/** The same for a history. */
export function pastHistory(row: DeploymentRow, { keepHistoryMs }: RetentionSettings): string | undefined {
  if (row.history_dropped_at === null) return undefined;
  const at = isoTime(row.history_dropped_at);
  const kept = `histories are kept for ${days(keepHistoryMs)} after the end (--keep-history)`;
  return `all but the first event and the last were dropped at ${at}: ${kept}`;
}

function days(ms: number): string {
  const whole = ms / 86_400_000;
  return Number.isInteger(whole) ? `${whole} d` : `${Math.round(ms / 1_000)} s`;
}
