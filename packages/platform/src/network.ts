import type { Duplex } from 'node:stream';
import net from 'node:net';
import tls from 'node:tls';

/** Where to connect to. `port` 0 is only meaningful for listening: the system chooses. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** TLS of a client. Verification is always on; there is no switch to turn it off. */
export interface TlsOptions {
  /** PEM certificates to trust instead of the system's. */
  readonly ca?: string;
  /** PEM client certificate chain and key, for SASL EXTERNAL. */
  readonly cert?: string;
  readonly key?: string;
  readonly passphrase?: string;
  /** Name to verify the certificate against; default is the host that was dialled. */
  readonly serverName?: string;
}

/** Opens byte streams. The real one uses TCP and TLS; tests hand in a pipe. */
export interface Network {
  /**
   * Resolves with an open stream (TLS verified, Nagle's delay off). Rejects with Node's system error, or with the
   * signal's reason.
   */
  dial(to: HostPort, options?: { readonly tls?: TlsOptions; readonly signal?: AbortSignal }): Promise<Duplex>;
}

export const systemNetwork: Network = { dial };

function dial(
  to: HostPort,
  options: { readonly tls?: TlsOptions; readonly signal?: AbortSignal } = {},
): Promise<Duplex> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    const socket = open(to, options.tls);
    const settle = (action: () => void): void => {
      socket.removeAllListeners('error');
      signal?.removeEventListener('abort', onAbort);
      action();
    };
    const onAbort = (): void => {
      settle(() => reject(signal?.reason as Error));
      socket.on('error', () => undefined);
      socket.destroy();
    };
    socket.once('error', (error) => settle(() => reject(error)));
    socket.once(options.tls === undefined ? 'connect' : 'secureConnect', () => settle(() => resolve(socket)));
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function open(to: HostPort, tlsOptions: TlsOptions | undefined): net.Socket {
  if (tlsOptions === undefined) return net.connect({ ...to, noDelay: true });
  const { serverName, ...rest } = tlsOptions;
  const name = serverName ?? to.host;
  const socket = tls.connect({ ...to, ...rest, ...(net.isIP(name) === 0 ? { servername: name } : {}) });
  socket.setNoDelay(true);
  return socket;
}
