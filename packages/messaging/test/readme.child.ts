import {
  connect,
  mailboxes,
  memoryDriver,
  notificationListener,
  notifier,
  rpcClient,
  rpcServer,
} from '@torcello/messaging';

await using transport = await connect('memory:', { drivers: [memoryDriver()] });

// A method that any peer of the topic may call, also one written in Python with oslo.messaging.
const methods = { add: ({ a, b }: Record<string, unknown>) => Number(a) + Number(b) };
const server = rpcServer(transport, { topic: 'calc', server: 'one' }, [{ methods }]);
await server.start();
console.log(await rpcClient(transport, { topic: 'calc' }).call('add', { a: 1, b: 2 }));

// An event for whoever listens, now or later.
const listener = notificationListener(
  transport,
  [{ topic: 'news' }],
  [{ info: ({ payload }) => console.log(payload) }],
);
await listener.start();
await notifier(transport, { publisherId: 'shop', topics: ['news'] }).info('order.placed', 'a book');

// A letter for a machine that does not exist yet.
const boxes = mailboxes(transport);
await boxes.open('host-17');
await boxes.put('host-17', { id: 'plan-1', body: new TextEncoder().encode('hello') });
for await (const letter of boxes.read('host-17')) {
  console.log(letter.id, new TextDecoder().decode(letter.body), letter.accept());
  break;
}
await Promise.all([server.stop(), listener.stop()]);
