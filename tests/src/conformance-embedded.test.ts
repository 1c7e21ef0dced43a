import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { LmdbStore, MemoryStore, startBroker } from '@torcello/broker';
import type { Broker, MessageStore } from '@torcello/broker';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { runConformance } from '@torcello/messaging/testing';
import { systemNetwork } from '@torcello/platform';
import type { Network } from '@torcello/platform';
import { pipeNetwork } from '@torcello/platform/testing';
import { temporaryFolder } from '@torcello/test-support';

function embedded(store: MessageStore): Promise<Broker> {
  return startBroker({ store, users: [{ name: 'guest', password: 'guest' }], permits: ['transient_nonexcl_queues'] });
}

/** Streams that can be broken all at once, as a cable cut does; `cut` resolves when both ends have noticed. */
class Streams {
  readonly #open = new Set<Duplex>();

  add(stream: Duplex): Duplex {
    this.#open.add(stream);
    stream.once('close', () => this.#open.delete(stream));
    return stream;
  }

  async cut(): Promise<void> {
    const closed = Array.from(this.#open, (stream) => once(stream, 'close'));
    for (const stream of this.#open) stream.destroy();
    await Promise.all(closed);
  }
}

function cuttable(network: Network, streams = new Streams()): { readonly network: Network; cut(): Promise<void> } {
  const dial: Network['dial'] = async (to, options) => streams.add(await network.dial(to, options));
  return { network: { dial }, cut: () => streams.cut() };
}

const piped = await embedded(new MemoryStore());
const pipes = new Streams();
const pipe = cuttable(
  pipeNetwork((stream) => piped.accept(pipes.add(stream))),
  pipes,
);
runConformance(
  { name: 'embedded by pipe', driver: amqp091Driver(), url: 'amqp://guest:guest@embedded/', ...pipe },
  test,
);

const folder = temporaryFolder('conformance-embedded');
const served = await embedded(new LmdbStore(join(folder.path, 'broker.lmdb')));
const { port } = await served.listen({ host: '127.0.0.1', port: 0 });
const url = `amqp://guest:guest@127.0.0.1:${port}/`;
runConformance({ name: 'embedded by TCP, on disk', driver: amqp091Driver(), url, ...cuttable(systemNetwork) }, test);

after(async () => {
  await Promise.all([piped.stop(), served.stop()]);
  folder.remove();
});
