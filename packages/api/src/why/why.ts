import { isoTime } from '../times.js';
import { causes } from './causes.js';
import type { Cause, CauseCode } from './causes.js';

/** What something waits for, for people and programs. Instants are ISO texts. */
export interface Why {
  readonly code: CauseCode;
  readonly text: string;
  readonly since: string;
  /** When the waiting ends at the latest. */
  readonly until?: string;
  readonly evidence?: { readonly at: string; readonly becomesUnknownAt?: string };
  readonly cure: string;
  /** What ends it by itself, as `the return of the agent`. */
  readonly endsWith: string;
}

export interface WhyCase {
  readonly sinceMs: number;
  readonly untilMs?: number | undefined;
  readonly evidence?: Why['evidence'] | undefined;
  /** What fills the `{names}` of text and cure. */
  readonly names?: Readonly<Record<string, string | number>>;
}

export function why(code: CauseCode, found: WhyCase): Why {
  const cause: Cause = causes[code];
  const names = { since: isoTime(found.sinceMs), ...found.names };
  return {
    code,
    text: fill(cause.text, names),
    since: isoTime(found.sinceMs),
    ...(found.untilMs === undefined ? {} : { until: isoTime(found.untilMs) }),
    ...(found.evidence === undefined ? {} : { evidence: found.evidence }),
    cure: fill(cause.cure, names),
    endsWith: fill(cause.endsWith, names),
  };
}

function fill(template: string, names: Readonly<Record<string, string | number>>): string {
  return template.replaceAll(/\{(\w+)\}/g, (whole, name: string) => String(names[name] ?? whole));
}
