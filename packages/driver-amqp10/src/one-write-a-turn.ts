import type { Duplex } from 'node:stream';

/**
 * The engine writes every frame by itself. Here they are gathered until the event loop has gone round, and go out by one
 * call of the system. The stream has to be the caller's own.
 */
export function oneWriteATurn(stream: Duplex): Duplex {
  const write = stream.write.bind(stream) as (...given: readonly unknown[]) => boolean;
  let isGathering = false;
  const gather = (...given: readonly unknown[]): boolean => {
    if (!isGathering) {
      isGathering = true;
      stream.cork();
      setImmediate(() => {
        isGathering = false;
        stream.uncork();
      });
    }
    return write(...given);
  };
  stream.write = gather as Duplex['write'];
  return stream;
}
