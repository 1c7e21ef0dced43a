import { MessagingError, type TransportUrl } from '@torcello/messaging';

/** A transport URL as this driver understands it. */
export interface AmqpSettings {
  readonly hosts: readonly AmqpHost[];
  readonly vhost: string;
  readonly isTls: boolean;
  readonly login: LoginMethod;
  readonly tlsFiles: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** Name to verify the broker's certificate against, where it is not the host's. */
  readonly tlsServerName: string | undefined;
  readonly frameSizeBytesMax: number;
  readonly topology: TopologySettings;
}
export interface AmqpHost {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
}
export type LoginMethod = 'PLAIN' | 'AMQPLAIN' | 'EXTERNAL';

/** How queues are declared. `oslo` holds oslo.messaging's own flags as soon as the URL names one of them. */
export interface TopologySettings {
  readonly queueType: 'quorum' | 'classic';
  readonly oslo: OsloFlags | undefined;
  /** Life of fanout and reply queues without a reader, in milliseconds, where the URL names one; 0 is for ever. */
  readonly transientQueueMs: number | undefined;
}
export interface OsloFlags {
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly isQuorum: boolean;
  readonly isTransientQuorum: boolean;
  /** Arguments of shared quorum queues; 0 leaves one out. */
  readonly quorumDeliveryLimit: number;
  readonly quorumMemoryLengthMax: number;
  readonly quorumMemoryBytesMax: number;
}

/** URL schemes and the port each stands for. `rabbit` is oslo.messaging's own name. */
export const schemes: Readonly<Record<string, { readonly port: number; readonly isTls: boolean }>> = {
  rabbit: { port: 5672, isTls: false },
  amqp: { port: 5672, isTls: false },
  amqps: { port: 5671, isTls: true },
};

/** Every query option that the driver reads. */
export const urlOptions: ReadonlySet<string> = new Set([
  'queue_type',
  'login_method',
  'rabbit_login_method',
  'ssl',
  'ssl_ca_file',
  'ssl_cert_file',
  'ssl_key_file',
  'ssl_server_name',
  'frame_max',
  'amqp_durable_queues',
  'amqp_auto_delete',
  'rabbit_quorum_queue',
  'rabbit_transient_quorum_queue',
  'rabbit_quorum_delivery_limit',
  'rabbit_quorum_max_memory_length',
  'rabbit_quorum_max_memory_bytes',
  'rabbit_transient_queues_ttl',
]);
const osloFlags = ['amqp_durable_queues', 'amqp_auto_delete', 'rabbit_quorum_queue', 'rabbit_transient_quorum_queue'];
const frameSizeBytesLeast = 4096;

/**
 * Reads the URL's hosts and options.
 * @throws MessagingError INVALID_URL for an option that the driver does not know or cannot honour.
 */
export function readSettings(url: TransportUrl, defaults: { readonly frameSizeBytesMax: number }): AmqpSettings {
  const scheme = schemes[url.scheme];
  if (scheme === undefined) throw invalid(`"${url.scheme}:" is no AMQP 0-9-1 address`);
  const options = new Options(url.options);
  const isTls = scheme.isTls || options.boolean('ssl', false);
  const port = isTls ? 5671 : scheme.port;
  const hosts =
    url.hosts.length === 0 ? [{ host: 'localhost', port, username: undefined, password: undefined }] : url.hosts;
  return {
    hosts: hosts.map((host) => ({
      host: host.host,
      port: host.port ?? port,
      username: host.username ?? 'guest',
      password: host.password ?? (host.username === undefined ? 'guest' : ''),
    })),
    // As oslo.messaging and pika read it: no path, or an empty one, is the vhost "/".
    vhost: url.vhost === undefined || url.vhost === '' ? '/' : url.vhost,
    isTls,
    login: loginMethod(options),
    tlsFiles: options.files(),
    tlsServerName: options.text('ssl_server_name'),
    frameSizeBytesMax: options.integer('frame_max', defaults.frameSizeBytesMax, frameSizeBytesLeast),
    topology: topologySettings(options),
  };
}

function loginMethod(options: Options): LoginMethod {
  const name = options.text('login_method') ?? options.text('rabbit_login_method') ?? 'PLAIN';
  if (name === 'PLAIN' || name === 'AMQPLAIN' || name === 'EXTERNAL') return name;
  throw invalid(`the login method is PLAIN, AMQPLAIN or EXTERNAL, not "${name}"`);
}

function topologySettings(options: Options): TopologySettings {
  const queueType = options.text('queue_type') ?? 'quorum';
  if (queueType !== 'quorum' && queueType !== 'classic')
    throw invalid(`queue_type is quorum or classic, not "${queueType}"`);
  const hasOslo = osloFlags.some((flag) => options.text(flag) !== undefined);
  const oslo = {
    isDurable: options.boolean('amqp_durable_queues', false),
    isAutoDelete: options.boolean('amqp_auto_delete', false),
    isQuorum: options.boolean('rabbit_quorum_queue', false),
    isTransientQuorum: options.boolean('rabbit_transient_quorum_queue', false),
    quorumDeliveryLimit: options.integer('rabbit_quorum_delivery_limit', 0, 0),
    quorumMemoryLengthMax: options.integer('rabbit_quorum_max_memory_length', 0, 0),
    quorumMemoryBytesMax: options.integer('rabbit_quorum_max_memory_bytes', 0, 0),
  };
  const hasLife = options.text('rabbit_transient_queues_ttl') !== undefined;
  const transientQueueMs = hasLife ? options.integer('rabbit_transient_queues_ttl', 0, 0) * 1000 : undefined;
  return { queueType, oslo: hasOslo ? oslo : undefined, transientQueueMs };
}

class Options {
  readonly #values: ReadonlyMap<string, string>;

  constructor(values: ReadonlyMap<string, string>) {
    for (const name of values.keys()) {
      if (!urlOptions.has(name))
        throw invalid(`there is no option "${name}"; there are: ${[...urlOptions].join(', ')}`);
    }
    this.#values = values;
  }

  text(name: string): string | undefined {
    return this.#values.get(name);
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.#values.get(name)?.toLowerCase();
    if (value === undefined) return fallback;
    if (['true', '1', 'yes', 'on'].includes(value)) return true;
    if (['false', '0', 'no', 'off'].includes(value)) return false;
    throw invalid(`${name} is true or false, not "${value}"`);
  }

  integer(name: string, fallback: number, least: number): number {
    const text = this.#values.get(name);
    if (text === undefined) return fallback;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least)) throw invalid(`${name} is a whole number from ${least}, not "${text}"`);
    return value;
  }

  files(): AmqpSettings['tlsFiles'] {
    const [ca, cert, key] = [this.text('ssl_ca_file'), this.text('ssl_cert_file'), this.text('ssl_key_file')];
    return {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    };
  }
}

function invalid(why: string): MessagingError {
  return new MessagingError('INVALID_URL', `the transport URL cannot be used: ${why}`);
}
