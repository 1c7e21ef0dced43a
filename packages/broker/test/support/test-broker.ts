import type { TestContext } from 'node:test';
import { MemoryStore, startBroker } from '../../src/index.js';
import type { Broker, BrokerOptions } from '../../src/index.js';

export interface TestBroker {
  readonly broker: Broker;
  readonly port: number;
  readonly url: string;
}

/** A broker over memory on a port of its own, with the user guest; it stops when the test ends. */
export async function testBroker(test: TestContext, options: Partial<BrokerOptions> = {}): Promise<TestBroker> {
  const broker = await startBroker({
    store: new MemoryStore(),
    users: [{ name: 'guest', password: 'guest', tags: ['administrator'] }],
    ...options,
  });
  test.after(() => broker.stop());
  const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });
  return { broker, port, url: `amqp://guest:guest@127.0.0.1:${port}` };
}
