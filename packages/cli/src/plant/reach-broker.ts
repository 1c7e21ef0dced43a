import { systemNetwork, type Clock, type HostPort, type Network } from '@torcello/platform';
import { CliError, systemCode } from '../cli-error.js';
import { exitCodes } from '../exit-codes.js';

const connectMsMax = 5_000;
const amqpPort = 5_672;

/**
 * Resolves when a host of the broker's URL can be connected to. What else may be wrong with the URL, the programs say
 * themselves; but they wait for a broker that is away, and whoever starts them wants to know.
 * @throws CliError `broker_unreachable` naming every host and why.
 */
export async function requireReachable(
  transport: string,
  clock: Clock,
  network: Network = systemNetwork,
): Promise<void> {
  const hosts = hostsOf(transport);
  const flaws: string[] = [];
  for (const host of hosts) {
    const flaw = await tryConnect(host, clock, network);
    if (flaw === undefined) return;
    flaws.push(`${host.host}:${host.port} (${flaw})`);
  }
  if (hosts.length === 0) return;
  throw new CliError('broker_unreachable', `no broker answers at ${flaws.join(', ')}`, {
    exitCode: exitCodes.unreachable,
    cure: 'start it, correct --transport or TORCELLO_TRANSPORT, or leave them out for the embedded broker',
  });
}

/** The hosts of `rabbit://user:password@host:port,user:password@host:port/vhost`; none where there is no such part. */
export function hostsOf(transport: string): readonly HostPort[] {
  const places = /^[a-z0-9+.]+:\/\/([^/?]+)/i.exec(transport)?.[1] ?? '';
  return places
    .split(',')
    .filter((place) => place !== '')
    .map((place) => /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(place.slice(place.lastIndexOf('@') + 1)))
    .filter((match) => match !== null)
    .map((match) => ({ host: match[1] ?? (match[2] || 'localhost'), port: Number(match[3] ?? amqpPort) }));
}

async function tryConnect(to: HostPort, clock: Clock, network: Network): Promise<string | undefined> {
  const late = new AbortController();
  const timer = clock.after(connectMsMax, () => late.abort(new Error('no answer')));
  try {
    const stream = await network.dial(to, { signal: late.signal });
    stream.destroy();
    return undefined;
  } catch (error) {
    return systemCode(error) ?? (error instanceof Error ? error.message : 'unknown error');
  } finally {
    timer.cancel();
  }
}
