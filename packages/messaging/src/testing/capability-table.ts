import type { Capabilities } from '../driver.js';

/** What each capability means, for people; a driver has an answer to each. */
export const capabilityMeanings: Readonly<Record<keyof Capabilities, string>> = {
  durableConfirm: 'a confirm of a persistent message survives kill -9 and power loss',
  returns: 'the sender learns that no queue took a message',
  mailboxes: 'a queue exists, and keeps messages, before anybody ever read from it',
  administers: 'queues are made and deleted over the connection',
  deliveryCount: 'a delivery says how often it was delivered before',
  fanout: 'a message goes to every server of a topic',
  priorityMax: 'the highest priority; – for none',
  redelivers: 'what was released, or unsettled when its reader went away, comes again; else it is lost',
  bounds: 'queues have limits, dead-letter addresses and single readers; messages expire',
  routes: 'a destination leads to every queue whose pattern fits; a queue is reached from several',
  inspects: 'a queue tells how many messages wait and how many read',
  refusesMissing: 'reading a queue that was never made is NOT_FOUND; else that makes it',
  keepsReplies: 'answers that come while their caller reconnects are kept for it',
  messageSizeBytesMax: 'the largest body',
};

/** A table for people, in Markdown: a row for each capability, a column for each transport. */
export function capabilityTable(
  transports: readonly { readonly name: string; readonly capabilities: Capabilities }[],
): string {
  const names = Object.keys(capabilityMeanings) as (keyof Capabilities)[];
  const rows = [
    ['capability', ...transports.map(({ name }) => name)],
    ...names.map((name) => [`\`${name}\``, ...transports.map(({ capabilities }) => shown(name, capabilities[name]))]),
  ];
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

/** What is wrong with a capabilities record, a line each; none when it is whole. */
export function capabilityFaults(capabilities: Capabilities): readonly string[] {
  const names = Object.keys(capabilityMeanings) as (keyof Capabilities)[];
  const wrong = names.flatMap((name) => {
    const wanted = name === 'priorityMax' || name === 'messageSizeBytesMax' ? 'number' : 'boolean';
    return typeof capabilities[name] === wanted ? [] : [`${name} is no ${wanted}`];
  });
  return Object.isFrozen(capabilities) ? wrong : [...wrong, 'the record is not frozen'];
}

function shown(name: keyof Capabilities, value: boolean | number): string {
  if (typeof value === 'boolean') return value ? 'yes' : '–';
  if (name === 'messageSizeBytesMax') return `${value / 1024} KiB`;
  return value === 0 ? '–' : String(value);
}
