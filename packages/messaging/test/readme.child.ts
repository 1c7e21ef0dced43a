import { connect, mailboxes, memoryDriver, rpcClient, rpcServer } from '@torcello/messaging';

await using transport = await connect('memory:', { drivers: [memoryDriver()] });

// A method that any peer of the topic may call, also one written in Python with oslo.messaging.
const methods = { add: ({ a, b }: Record<string, unknown>) => Number(a) + Number(b) };
const server = rpcServer(transport, { topic: 'calc', server: 'one' }, [{ methods }]);
await server.start();
console.log(await rpcClient(transport, { topic: 'calc' }).call('add', { a: 1, b: 2 }));
await server.stop();

// A letter for a machine that does not exist yet.
const boxes = mailboxes(transport);
await boxes.open('host-17');
await boxes.put('host-17', { id: 'plan-1', body: new TextEncoder().encode('hello') });
for await (const letter of boxes.read('host-17')) {
  console.log(letter.id, new TextDecoder().decode(letter.body));
  letter.accept();
  break;
}
