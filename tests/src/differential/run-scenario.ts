import { setTimeout as pause } from 'node:timers/promises';
import { WireClient } from './client.js';
import type { Scenario, Step } from './scenario.js';
import { Transcript } from './transcript.js';

/** A broker that scenarios run against. */
export interface Subject {
  readonly port: number;
  readonly vhost: string;
  /** User of each connection; the password is the same. Default guest. */
  readonly users?: Readonly<Record<string, string>>;
}

const endQuietMs = 60;

/** Runs one scenario and answers what its clients saw, as text. `prefix` keeps its names apart from others'. */
export async function runScenario(scenario: Scenario, subject: Subject, prefix: string): Promise<string> {
  const run = new Run(subject, prefix);
  const steps = withNames(scenario.steps, { prefix, user: subject.users?.['c'] ?? 'guest' });
  try {
    for (const step of steps) await run.take(step);
    await run.quiet(endQuietMs);
    return run.transcript.toString();
  } finally {
    run.end();
  }
}

class Run {
  readonly transcript: Transcript;
  readonly #subject: Subject;
  readonly #clients = new Map<string, WireClient>();
  readonly #opened = new Set<string>();

  constructor(subject: Subject, prefix: string) {
    this.#subject = subject;
    this.transcript = new Transcript(prefix);
  }

  async take(step: Step): Promise<void> {
    if ('settle' in step) return this.quiet(step.settle);
    if ('cut' in step) return this.#clients.get(step.cut)?.cut();
    const [name = '', digit = '1'] = step.on;
    const channel = Number(digit);
    const client = this.#clients.get(name) ?? (await this.#connect(name));
    if (!this.#opened.has(step.on)) {
      this.#opened.add(step.on);
      await client.openChannel(channel);
    }
    if (!client.isUsable(channel)) return this.transcript.note(step.on, 'not sent: closed');
    if ('publish' in step) client.publish(channel, step.publish);
    else await client.send(channel, step.send);
  }

  /** Waits until nothing has come for so long; polls, as a foreign broker offers nothing better. */
  async quiet(ms: number): Promise<void> {
    await pause(ms);
    while ([...this.#clients.values()].some(({ quietMs }) => quietMs < ms)) await pause(ms / 2);
  }

  end(): void {
    for (const client of this.#clients.values()) client.cut();
  }

  async #connect(name: string): Promise<WireClient> {
    const { port, vhost, users } = this.#subject;
    const client = await WireClient.open({
      port,
      vhost,
      user: users?.[name] ?? 'guest',
      saw: (channel, command) => this.transcript.saw(`${name}${channel}`, command),
    });
    this.#clients.set(name, client);
    return client;
  }
}

interface Names {
  readonly prefix: string;
  readonly user: string;
}

function withNames(value: readonly Step[], names: Names): Step[] {
  return value.map((step) => replaced(step, names) as Step);
}

/** Every text that begins with `~` gets the run's own prefix, and one with `%` the name of connection `c`'s user. */
function replaced(value: unknown, names: Names): unknown {
  if (typeof value === 'string') return named(value, names);
  if (Array.isArray(value)) return value.map((inner) => replaced(inner, names));
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, replaced(inner, names)]));
}

function named(text: string, { prefix, user }: Names): string {
  if (text.startsWith('~')) return prefix + text.slice(1);
  return text.startsWith('%') ? user + text.slice(1) : text;
}
