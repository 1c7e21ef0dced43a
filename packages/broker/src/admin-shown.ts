type Row = Readonly<Record<string, unknown>>;

/** Rows under their headings, for a terminal. */
export function table(rows: readonly Row[], columns: readonly string[]): string {
  const all = [columns, ...rows.map((row) => columns.map((column) => cell(row[column])))];
  const widths = columns.map((_column, at) => all.reduce((width, row) => Math.max(width, (row[at] ?? '').length), 0));
  return all
    .map((row) =>
      row
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** How the broker is, a line for each thing that a person asks first. */
export function statusText(about: {
  readonly overview: Row;
  readonly node: Row;
  readonly amqp: string;
  readonly management: string;
}): string {
  const { overview, node } = about;
  const totals = (overview['object_totals'] ?? {}) as Row;
  const messages = (overview['queue_totals'] ?? {}) as Row;
  const blocked = overview['torcello_blocked'];
  const free = node['disk_free'];
  const disk = `${size(free)} free; publishes wait below ${size(node['disk_free_limit'])}`;
  const lines: readonly (readonly [string, string])[] = [
    ['broker', `${cell(overview['product_version'])}, process ${cell(node['os_pid'])}, up ${duration(node['uptime'])}`],
    ['amqp', about.amqp],
    ['management', about.management],
    ['publishes', blocked === null ? 'taken' : `refused: ${cell(blocked)}`],
    ['disk', typeof free === 'number' ? disk : 'not watched'],
    ['memory', `${size(node['mem_used'])}; publishes wait above ${size(node['mem_limit'])}`],
    ['clients', `${count(totals, 'connections')}, ${count(totals, 'channels')}, ${count(totals, 'consumers')}`],
    ['holds', `${count(totals, 'queues')}, ${count(totals, 'exchanges')}`],
    [
      'messages',
      `${cell(messages['messages_ready'])} ready, ${cell(messages['messages_unacknowledged'])} unacknowledged`,
    ],
    ['replicas', 'none: one node'],
  ];
  return lines.map(([name, text]) => `${name.padEnd(12)}${text}`).join('\n');
}

/** What may be wrong, a line each, the worst first; `isWell` is false when something is. */
export function diagnosis(about: {
  readonly node: Row;
  readonly blocked: unknown;
  readonly queues: readonly Row[];
  readonly exchanges: readonly Row[];
  readonly policies: readonly Row[];
  readonly users: readonly Row[];
  readonly permissions: readonly Row[];
}): { readonly text: string; readonly isWell: boolean } {
  const { node, blocked } = about;
  const isWell = blocked === null || blocked === undefined;
  const lines = [
    isWell ? 'ok    publishes are taken' : `wrong publishes wait: ${cell(blocked)}; ${cureFor(blocked, node)}`,
    ...closeTo(node),
    ...unread(about.queues),
    ...idlePolicies(about.policies, [...about.queues, ...about.exchanges]),
    ...shutOut(about.users, about.permissions),
  ];
  return { text: lines.join('\n'), isWell };
}

function cureFor(blocked: unknown, node: Row): string {
  if (blocked === 'low on disk') {
    const [free, least] = [size(node['disk_free']), size(node['disk_free_limit'])];
    return `make room where its folder lies: ${free} are free, and ${least} must be (--limit diskFreeBytesMin=BYTES)`;
  }
  const [used, most] = [size(node['mem_used']), size(node['mem_limit'])];
  return `let readers take messages: it needs ${used}, and may have ${most} (--limit memoryBytesMax=BYTES)`;
}

/** Figures that are near what stops publishes. */
function closeTo(node: Row): string[] {
  const [free, limit] = [node['disk_free'], Number(node['disk_free_limit'])];
  const [used, most] = [Number(node['mem_used']), Number(node['mem_limit'])];
  const isLow = typeof free === 'number' && free >= limit && free < 2 * limit;
  return [
    ...(isLow ? [`note  ${size(free)} are free on the disk; below ${size(limit)} publishes wait`] : []),
    ...(used > 0.8 * most && used <= most
      ? [`note  ${size(used)} of memory are needed; above ${size(most)} publishes wait`]
      : []),
  ];
}

function unread(queues: readonly Row[]): string[] {
  return queues
    .filter(({ messages_ready: ready, consumers }) => Number(ready) > 0 && consumers === 0)
    .map(
      (row) =>
        `note  ${cell(row['vhost'])} ${cell(row['name'])}: ${cell(row['messages_ready'])} messages and no reader`,
    );
}

function idlePolicies(policies: readonly Row[], things: readonly Row[]): string[] {
  const used = new Set(
    things.flatMap((row) =>
      [row['policy'], row['operator_policy']].map((name) => JSON.stringify([row['vhost'], name])),
    ),
  );
  return policies
    .filter(({ vhost, name }) => !used.has(JSON.stringify([vhost, name])))
    .map(({ vhost, name }) => `note  ${cell(vhost)} policy ${cell(name)}: applies to nothing`);
}

function shutOut(users: readonly Row[], permissions: readonly Row[]): string[] {
  const allowed = new Set(permissions.map(({ user }) => user));
  return users
    .filter(({ name }) => !allowed.has(name))
    .map(({ name }) => `note  user ${cell(name)}: may enter no virtual host`);
}

function count(totals: Row, what: string): string {
  const number = Number(totals[what]);
  return `${number} ${number === 1 ? what.slice(0, -1) : what}`;
}

const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

function size(value: unknown): string {
  let number = Number(value);
  let unit = 0;
  for (; number >= 1024 && unit < units.length - 1; unit++) number /= 1024;
  return `${unit === 0 ? number : number.toFixed(1)} ${units[unit] ?? ''}`;
}

function duration(ms: unknown): string {
  const seconds = Math.floor(Number(ms) / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

/** What clients choose as names goes to a terminal: control characters are shown as a question mark. */
function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  const text = typeof value === 'string' ? value : Array.isArray(value) ? value.join(',') : JSON.stringify(value);
  return text.replaceAll(/\p{Cc}/gu, '?');
}
