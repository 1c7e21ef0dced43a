import net from 'node:net';
import { usageError, systemCode } from '../cli-error.js';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const loopbackNames: ReadonlySet<string> = new Set(['localhost', '::1']);

/** Reads `HOST:PORT` or `[::1]:PORT`. @throws CliError when it is neither, or not loopback. */
export function parseListenAddress(text: string, flag: string): ListenAddress {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:]+)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535)
    throw usageError(`${flag} ${text} is no HOST:PORT`, `${flag} 127.0.0.1:8082`);
  if (!isLoopback(host)) {
    throw usageError(
      `${flag} ${text} is not a loopback address, and until TLS and roles are built Torcello listens on nothing else`,
      `${flag} 127.0.0.1:${port}`,
    );
  }
  return { host, port };
}

function isLoopback(host: string): boolean {
  return loopbackNames.has(host) || (net.isIPv4(host) && host.startsWith('127.'));
}

export function formatAddress({ host, port }: ListenAddress): string {
  return net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** @throws CliError `port_in_use` naming the port and the flag that chooses another. */
export async function requireFree(address: ListenAddress, flag: string): Promise<void> {
  if (address.port === 0) return;
  const code = await tryListen(address);
  if (code === undefined) return;
  const what = code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${code})`;
  throw usageError(
    `port ${address.port} of ${address.host} ${what}`,
    `end the program that holds it, or choose another port: ${flag} ${address.host}:${Math.min(address.port + 1000, 65_000)}`,
  );
}

/** Undefined when the address can be listened on, else the system's code. */
function tryListen(address: ListenAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', (error) => resolve(systemCode(error) ?? 'unknown error'));
    server.listen(address, () => server.close(() => resolve(undefined)));
  });
}

const basePortMin = 18_000;
const basePortMax = 30_000;
const attemptsMax = 50;

/** The first of `count` neighbouring ports that are free on loopback now. Below the range that systems lend out. */
export async function freePortRange(count: number, fraction: () => number): Promise<number> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const base = basePortMin + Math.floor(fraction() * (basePortMax - basePortMin));
    const ports = Array.from({ length: count }, (_, index) => base + index);
    const codes = await Promise.all(ports.map((port) => tryListen({ host: '127.0.0.1', port })));
    if (codes.every((code) => code === undefined)) return base;
  }
  throw usageError(`found no ${count} free neighbouring ports between ${basePortMin} and ${basePortMax}`);
}
