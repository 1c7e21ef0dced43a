import {
  connect,
  contractClient,
  contractServer,
  defineContract,
  isMessagingError,
  memoryDriver,
} from '@torcello/messaging';
import { z } from 'zod';

const contract = defineContract({
  topic: 'typed',
  version: '1.0',
  methods: {
    add: { args: z.object({ a: z.number(), b: z.number() }), result: z.number() },
    count: { args: z.object({ to: z.number() }), progress: z.number(), result: z.string() },
  },
});
await using transport = await connect('memory:', { drivers: [memoryDriver()] });

try {
  // @ts-expect-error a handler is missing, which the program refuses as well
  contractServer(transport, contract, { add: ({ a, b }) => a + b }, { server: 'wrong' });
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.log(error.message);
}

const server = contractServer(
  transport,
  contract,
  {
    add: ({ a, b }) => a + b,
    async *count({ to }) {
      for (let n = 1; n <= to; n += 1) yield n;
      return 'done';
    },
  },
  { server: 'one' },
);
await server.start();
const client = contractClient(transport, contract);
const sum: number = await client.add({ a: 1, b: 2 });
console.log(sum);
try {
  // @ts-expect-error an argument of another type, which the program refuses as well
  await client.add({ a: 1, b: '2' });
} catch (error) {
  if (!isMessagingError(error, 'CONTRACT_VIOLATED')) throw error;
  console.log(error.code);
}
const call = client.open.count({ to: 2 });
for await (const n of call) console.log(n.toFixed(0));
console.log((await call).toUpperCase());
await server.stop();
