/**
 * What another machine wrote, made fit for a terminal: control characters could move the cursor, hide text or change
 * the window's title, so they become visible question marks. Line feeds and tabs stay where `keepLines` says so.
 */
export function safeText(text: string, options: { readonly keepLines?: boolean } = {}): string {
  const isKept = (character: string): boolean =>
    options.keepLines === true && (character === '\n' || character === '\t' || character === '\r');
  return text.replace(/[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (character) =>
    isKept(character) ? (character === '\r' ? '' : character) : '\ufffd',
  );
}

/** An age as people say it: `4s`, `3m 12s`, `2h 5m`, `3d 4h`. Never negative. */
export function formatAge(ageMs: number): string {
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h ${Math.floor((seconds % 3_600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d ${Math.floor((seconds % 86_400) / 3_600)}h`;
}

/** Milliseconds since 1970 of an instant of the API; without a zone it is UTC. Undefined when it is none. */
export function parseInstant(text: string | null | undefined): number | undefined {
  if (text === null || text === undefined) return undefined;
  const ms = Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

export function formatBytes(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  return bytes < 1_048_576 ? `${(bytes / 1_024).toFixed(1)} KiB` : `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
