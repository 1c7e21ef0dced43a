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
const server = rpcServer(transport, { topic: 'calc', server: 'one' }, [
  { methods: { add: ({ a, b }) => Number(a) + Number(b) } },
]);
await server.start();
console.log(await rpcClient(transport, { topic: 'calc' }).call<number>('add', { a: 1, b: 2 }));
await server.stop();

let heard: (type: string) => void = () => undefined;
const first = new Promise<string>((resolve) => (heard = resolve));
const listener = notificationListener(transport, [{ topic: 'news' }], [{ info: ({ eventType }) => heard(eventType) }]);
await listener.start();
await notifier(transport, { publisherId: 'shop', topics: ['news'] }).info('order.placed', { id: 7 });
console.log(await first);
await listener.stop();

const boxes = mailboxes(transport);
await boxes.open('host-17');
await boxes.put('host-17', { id: 'plan-1', body: new TextEncoder().encode('hello') });
for await (const letter of boxes.read('host-17')) {
  console.log(letter.id, new TextDecoder().decode(letter.body), letter.accept());
  break;
}
