import { Duplex, duplexPair } from 'node:stream';
import type { HostPort, Network } from '../network.js';

/** A network of one listener: every dial opens an in-memory pipe and hands the far end to `accept`. */
export function pipeNetwork(accept: (stream: Duplex, to: HostPort) => void): Network {
  return {
    dial: (to) => {
      const [near, far] = duplexPair();
      accept(far, to);
      return Promise.resolve(near);
    },
  };
}
