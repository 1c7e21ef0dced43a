const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A duration as people write it, in milliseconds: whole numbers with units `ms`, `s`, `m`, `h`, `d`, largest first
 * (`30s`, `1h30m`). Undefined when the text is none.
 */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d{1,9}(ms|s|m|h|d))+$/.test(text)) return undefined;
  let totalMs = 0;
  let unitBeforeMs = Number.POSITIVE_INFINITY;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) {
    const unitMs = unitsMs[unit ?? ''] ?? 0;
    if (unitMs >= unitBeforeMs) return undefined;
    totalMs += Number(amount) * unitMs;
    unitBeforeMs = unitMs;
  }
  return totalMs;
}
