import { AgentError } from '../errors.js';
import { muranoLimits } from './limits.js';

/** What the agent takes from murano-agent's own `agent.conf`. */
export interface MuranoSettings {
  /** Folder of plans, answers and the last Stamp, in murano-agent's own layout. */
  readonly storage: string;
  /** Public key of the engine, PEM; undefined: plans are taken unsigned, as murano-agent does. */
  readonly engineKey: string | undefined;
  /** `enable_dynamic_result_queue`: a plan's ReplyTo is the routing key of its answer. */
  readonly usesReplyTo: boolean;
  readonly inputQueue: string;
  readonly resultExchange: string;
  readonly resultRoutingKey: string;
  readonly transportUrl: string;
  /** Program that runs plans' `Body`. */
  readonly python: string;
  readonly planSeconds: number;
  readonly downloadBytesMax: number;
}

/**
 * Reads murano-agent's configuration file as it is: groups DEFAULT and rabbitmq mean what they mean there. The group
 * `torcello` adds `transport_url`, `python`, `plan_seconds` and `download_bytes_max`.
 * @throws AgentError USAGE
 */
export function readAgentConf(text: string): MuranoSettings {
  const conf = parseConf(text);
  const get = (group: string, name: string): string | undefined => conf.get(`${group}.${name}`);
  const inputQueue = get('rabbitmq', 'input_queue') ?? '';
  if (inputQueue === '') throw new AgentError('USAGE', 'agent.conf names no input_queue in [rabbitmq]');
  return {
    storage: get('DEFAULT', 'storage') ?? '/var/murano/plans',
    engineKey: emptyAsUndefined(get('DEFAULT', 'engine_key')),
    usesReplyTo: truth(get('DEFAULT', 'enable_dynamic_result_queue')),
    inputQueue,
    resultExchange: get('rabbitmq', 'result_exchange') ?? '',
    resultRoutingKey: get('rabbitmq', 'result_routing_key') ?? '',
    transportUrl: emptyAsUndefined(get('torcello', 'transport_url')) ?? transportUrlOf((name) => get('rabbitmq', name)),
    python: emptyAsUndefined(get('torcello', 'python')) ?? 'python3',
    planSeconds: number(get('torcello', 'plan_seconds'), 'planSeconds'),
    downloadBytesMax: number(get('torcello', 'download_bytes_max'), 'downloadBytesMax'),
  };
}

/** oslo.config's form: `[group]`, `name = value` or `name: value`, `#` comments, indented lines go on with the value. */
function parseConf(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  let [group, last] = ['DEFAULT', ''];
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*([#;]|$)/.test(line)) continue;
    const header = /^\[([^\]]+)\]/.exec(line)?.[1];
    const [, name, value] = /^([A-Za-z0-9_.-]+)\s*[=:]\s*(.*)$/.exec(line) ?? [];
    if (header !== undefined) [group, last] = [header.trim(), ''];
    else if (/^\s/.test(line) && last !== '') values.set(last, `${values.get(last) ?? ''}\n${line.trim()}`.trim());
    else if (name !== undefined && value !== undefined) {
      last = `${group}.${name}`;
      values.set(last, unquoted(value.trim()));
    } else throw new AgentError('USAGE', `agent.conf cannot be read at ${JSON.stringify(line.slice(0, 40))}`);
  }
  return values;
}

function transportUrlOf(get: (name: string) => string | undefined): string {
  const isTls = truth(get('ssl'));
  if (truth(get('insecure'))) {
    throw new AgentError('USAGE', 'agent.conf asks for insecure = true: name the authority in ca_certs instead');
  }
  const [user, password] = [get('login') ?? 'guest', get('password') ?? 'guest'].map(encodeURIComponent);
  const host = get('host') ?? 'localhost';
  const address = `${host.includes(':') ? `[${host}]` : host}:${get('port') ?? '5672'}`;
  const authority = emptyAsUndefined(get('ca_certs'));
  const query = isTls && authority !== undefined ? `?ssl_ca_file=${encodeURIComponent(authority)}` : '';
  const vhost = encodeURIComponent(get('virtual_host') ?? '/');
  return `${isTls ? 'amqps' : 'amqp'}://${user ?? ''}:${password ?? ''}@${address}/${vhost}${query}`;
}

function truth(text: string | undefined): boolean {
  return /^(true|1|on|yes)$/i.test(text ?? '');
}

function number(text: string | undefined, name: 'planSeconds' | 'downloadBytesMax'): number {
  if (text === undefined || text === '') return muranoLimits[name].value;
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new AgentError('USAGE', `agent.conf: ${text} is no whole number above 0`);
  return Number(text);
}

function emptyAsUndefined(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text;
}

function unquoted(text: string): string {
  return /^(["']).*\1$/s.test(text) && text.length > 1 ? text.slice(1, -1) : text;
}
