import { connect, contractClient, contractServer, defineContract, memoryDriver } from '@torcello/messaging';
import { z } from 'zod';

// Plain data over any library that speaks Standard Schema; both sides have its types and check every value.
const calculator = defineContract({
  topic: 'calc',
  version: '1.0',
  methods: {
    add: { args: z.object({ a: z.number(), b: z.number() }), result: z.number() },
    count: { args: z.object({ to: z.number() }), progress: z.number(), result: z.string() },
  },
});

await using transport = await connect('memory:', { drivers: [memoryDriver()] });
const server = contractServer(
  transport,
  calculator,
  {
    add: ({ a, b }) => a + b,
    // Its items go to the caller as fast as it reads them.
    async *count({ to }) {
      for (let n = 1; n <= to; n += 1) yield n;
      return 'done';
    },
  },
  { server: 'one' },
);
await server.start();

const client = contractClient(transport, calculator);
console.log(await client.add({ a: 1, b: 2 }));
using call = client.open.count({ to: 3 }); // cancelled when the scope is left before it ends
for await (const n of call) console.log(n);
console.log(await call);
await server.stop();
