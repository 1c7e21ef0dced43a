import { readFileSync } from 'node:fs';
import type { Capabilities } from '@torcello/messaging';
import { conformance } from '@torcello/messaging/testing';
import { profiles } from '../../src/index.js';

/** The document that tells people what each profile can do. */
export const documentFile: URL = new URL('../../../../docs/drivers.md', import.meta.url);

const tested = Object.values(profiles).filter(({ isTested }) => isTested);

/** The document with its tables as the code wants them. */
export function document(text: string = readFileSync(documentFile, 'utf8')): string {
  return [
    ['profiles', profileTable()],
    ['skips', skipTable()],
  ].reduce((all, [name = '', table = '']) => {
    const between = new RegExp(`(<!-- ${name} -->)[\\s\\S]*?(<!-- end of ${name} -->)`);
    if (!between.test(all)) throw new Error(`the document has no place for ${name}`);
    return all.replace(between, (_, start: string, end: string) => `${start}\n\n${table}\n\n${end}`);
  }, text);
}

function profileTable(): string {
  const all = Object.values(profiles);
  const names = all.map(({ name, isTested }) => `${name}${isTested ? '' : ' (untested)'}`);
  const row = (name: keyof Capabilities): readonly string[] => [
    `\`${name}\``,
    ...all.map(({ capabilities }) => said(capabilities[name])),
  ];
  const keys = Object.keys(profiles.proton.capabilities) as (keyof Capabilities)[];
  return table([['capability', ...names], ...keys.map(row)]);
}

/** Sentences that a profile is excused from, by what it lacks. */
function skipTable(): string {
  const rows = conformance.flatMap(({ says, needs = [] }) => {
    const lacking = tested.map(({ capabilities }) =>
      needs.filter((need) => need !== 'cut' && (capabilities[need] === false || capabilities[need] === 0)),
    );
    return lacking.every((missing) => missing.length === 0)
      ? []
      : [[says, ...lacking.map((missing) => missing.map((need) => `\`${need}\``).join(', ') || 'runs')]];
  });
  const counts = tested.map((_, at) => `${rows.filter((row) => row[at + 1] !== 'runs').length} skipped`);
  const total = `of ${conformance.length} sentences`;
  return table([['sentence', ...tested.map(({ name }) => name)], ...rows, [total, ...counts]]);
}

function said(value: boolean | number): string {
  if (typeof value === 'boolean') return value ? 'yes' : '–';
  return value >= 1_024 ? `${value / 1_024} KiB` : value === 0 ? '–' : String(value);
}

function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...rest] = rows;
  const widths = head.map((_, at) => Math.max(3, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rest.map(line)].join('\n');
}
