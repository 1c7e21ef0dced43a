import type { Channel, GetMessage } from 'amqplib';
import { leftoverMs, Wrong } from './world.js';
import type { Session, World } from './world.js';

/** One thing that clients do, with what must come of it. */
export interface Round {
  readonly world: World;
  readonly session: Session;
  /** A fresh name for what it declares. */
  readonly name: string;
}

const passing = { autoDelete: true, durable: false } as const;
const fleeting = { durable: true, expires: leftoverMs } as const;

/** @throws Wrong. */
function expect(isSo: boolean, text: string): void {
  if (!isSo) throw new Wrong(text);
}

/** Everything that waits in a queue, taken and settled. */
async function taken(channel: Channel, queue: string): Promise<GetMessage[]> {
  const found: GetMessage[] = [];
  for (let next = await channel.get(queue); next !== false; next = await channel.get(queue)) {
    channel.ack(next);
    found.push(next);
  }
  return found;
}

function texts(messages: readonly GetMessage[]): string {
  return messages.map(({ content }) => content.toString()).join(' ');
}

async function untilReady(world: World, channel: Channel, wanted: { queue: string; count: number }): Promise<void> {
  const isThere = async (): Promise<boolean> => (await channel.checkQueue(wanted.queue)).messageCount >= wanted.count;
  await world.until(`${wanted.count} messages in ${wanted.queue}`, isThere);
}

async function passingQueues({ world, session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  const kinds = [
    { exclusive: true },
    { autoDelete: true, durable: false },
    { durable: false, expires: leftoverMs },
    fleeting,
  ];
  const options = kinds[world.upTo(kinds.length)] ?? fleeting;
  const { queue } = await channel.assertQueue('exclusive' in options ? '' : name, options);
  const count = world.upTo(20);
  for (let number = 0; number < count; number++) {
    channel.sendToQueue(queue, Buffer.from(String(number)), { persistent: world.chance(0.5) });
  }
  await session.confirmed(channel);
  const wanted = Array.from({ length: count }, (_none, at) => at).join(' ');
  const found = texts(await taken(channel, queue));
  expect(found === wanted, `${queue} held '${found}' and not '${wanted}'`);
  if ('autoDelete' in options) {
    const { consumerTag } = await channel.consume(queue, () => undefined);
    await channel.cancel(consumerTag);
  } else if (world.chance(0.3)) await channel.deleteQueue(queue);
}

async function changingBindings({ world, session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  await channel.assertQueue(name, fleeting);
  const exchange = `amq.${['topic', 'direct', 'fanout'][world.upTo(3)] ?? 'topic'}`;
  await channel.bindQueue(name, exchange, name);
  channel.publish(exchange, name, Buffer.from('1'), { persistent: true });
  await session.confirmed(channel);
  await channel.unbindQueue(name, exchange, name);
  channel.publish(exchange, name, Buffer.from('2'), { persistent: true });
  await session.confirmed(channel);
  const found = (await taken(channel, name)).filter(({ fields }) => fields.routingKey === name);
  expect(texts(found) === '1', `${name} at ${exchange} held '${texts(found)}'`);
  if (world.chance(0.5)) await channel.bindQueue(name, 'amq.topic', `${name}.#`, { left: true });
  if (world.chance(0.3)) await channel.deleteQueue(name);
}

async function headersAndAlternates({ session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  await channel.assertQueue(name, { exclusive: true });
  await channel.assertExchange(`${name}.h`, 'headers', { ...passing, alternateExchange: `${name}.f` });
  await channel.assertExchange(`${name}.f`, 'fanout', passing);
  await channel.bindQueue(name, `${name}.h`, '', { 'x-match': 'any', colour: 'red', size: 3 });
  await channel.bindQueue(name, `${name}.f`, '');
  channel.publish(`${name}.h`, '', Buffer.from('red'), { headers: { colour: 'red' } });
  channel.publish(`${name}.h`, '', Buffer.from('blue'), { headers: { colour: 'blue' } });
  await session.confirmed(channel);
  const found = texts(await taken(channel, name));
  expect(found === 'red blue', `${name} held '${found}'`);
  await channel.assertExchange(`${name}.e`, 'direct', passing);
  await channel.bindExchange(`${name}.f`, `${name}.e`, 'key');
  await channel.deleteQueue(name);
}

async function deadLetterCircle({ world, session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  const [first, second] = [`${name}.a`, `${name}.b`];
  const dying = { ...fleeting, messageTtl: 20, deadLetterExchange: '' };
  await channel.assertQueue(first, { ...dying, deadLetterRoutingKey: second });
  await channel.assertQueue(second, { ...dying, deadLetterRoutingKey: first });
  await channel.assertQueue(name, fleeting);
  await channel.assertQueue(`${name}.r`, { ...fleeting, deadLetterExchange: '', deadLetterRoutingKey: name });
  channel.sendToQueue(first, Buffer.from('round'), { persistent: true });
  channel.sendToQueue(`${name}.r`, Buffer.from('rejected'), { persistent: true });
  await session.confirmed(channel);
  const rejected = await channel.get(`${name}.r`);
  if (rejected !== false) channel.nack(rejected, false, false);
  await untilReady(world, channel, { queue: name, count: 1 });
  const [letter] = await taken(channel, name);
  const death = (letter?.properties.headers?.['x-death'] as { reason: string; queue: string }[] | undefined)?.[0];
  expect(death?.reason === 'rejected' && death.queue === `${name}.r`, `${name} has the death ${JSON.stringify(death)}`);
}

async function prioritiesAndLengths({ world, session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  await channel.assertQueue(name, { ...fleeting, maxPriority: 5, maxLength: 20 });
  const sent = Array.from({ length: 20 }, (_none, at) => ({ at, priority: world.upTo(6) }));
  for (const { at, priority } of sent) channel.sendToQueue(name, Buffer.from(`${priority}:${at}`), { priority });
  await session.confirmed(channel);
  const wanted = sent.toSorted((one, other) => other.priority - one.priority || one.at - other.at);
  const found = texts(await taken(channel, name));
  const right = wanted.map(({ at, priority }) => `${priority}:${at}`).join(' ');
  expect(found === right, `${name} held '${found}' and not '${right}'`);
  await channel.assertQueue(`${name}.l`, {
    ...fleeting,
    arguments: { 'x-max-length': 3, 'x-overflow': 'reject-publish' },
  });
  let refused = 0;
  for (let left = 5; left > 0; left--) {
    channel.sendToQueue(`${name}.l`, world.body(left), { persistent: true }, (error: unknown) => {
      if ((error ?? null) !== null) refused++;
    });
  }
  await session.confirmed(channel).catch(() => undefined);
  await channel.checkQueue(`${name}.l`);
  expect(refused === 2, `${name}.l refused ${refused} of 5`);
}

async function transactions({ world, session, name }: Round): Promise<void> {
  const channel = await session.channel();
  await channel.assertQueue(name, fleeting);
  await sendRaw(channel, 'select');
  for (let number = 1; number <= 5; number++) channel.sendToQueue(name, Buffer.from('kept'), { persistent: true });
  await sendRaw(channel, 'commit');
  channel.sendToQueue(name, Buffer.from('undone'), { persistent: true });
  const isLeftOpen = world.chance(0.3);
  if (!isLeftOpen) await sendRaw(channel, 'rollback');
  const { messageCount } = await channel.checkQueue(name);
  expect(messageCount === 5, `${name} has ${messageCount} messages of a transaction of 5`);
  const message = await channel.get(name);
  if (message !== false) channel.ack(message);
  if (!isLeftOpen) await sendRaw(channel, 'commit');
}

/** amqplib has no method for class tx, and can send it. */
async function sendRaw(channel: Channel, what: 'select' | 'commit' | 'rollback'): Promise<void> {
  const number = { select: 0x5a000a, commit: 0x5a0014, rollback: 0x5a001e }[what];
  const raw = channel as unknown as { rpc(method: number, fields: object, expected: number): Promise<unknown> };
  await raw.rpc(number, {}, number + 1);
}

async function remoteCalls({ world, session, name }: Round): Promise<void> {
  const [server, client] = [await session.channel(), await session.channel()];
  await server.assertQueue(name, { exclusive: true });
  await server.consume(name, (call) => {
    if (call !== null) server.sendToQueue(String(call.properties.replyTo), call.content);
    if (call !== null) server.ack(call);
  });
  let answers = 0;
  const calls = 1 + world.upTo(30);
  const all = new Promise<void>((resolve) => {
    const take = (): void => void (++answers === calls && resolve());
    client.consume('amq.rabbitmq.reply-to', take, { noAck: true }).then(
      () => {
        for (let left = calls; left > 0; left--) {
          client.sendToQueue(name, world.body(left), { replyTo: 'amq.rabbitmq.reply-to' });
        }
      },
      () => undefined,
    );
  });
  await Promise.race([all, session.lost]);
}

async function channelChurn({ world, session, name }: Round): Promise<void> {
  for (let left = 20; left > 0; left--) {
    const channel = await session.channel();
    if (world.chance(0.3)) await channel.checkQueue(`${name}.missing`).catch(() => undefined);
    else await channel.close();
  }
}

async function endedQueue({ world, session, name }: Round): Promise<void> {
  const [channel, reader] = [await session.channel(), await session.channel()];
  await channel.assertQueue(name, {
    durable: true,
    expires: leftoverMs,
    arguments: { 'x-single-active-consumer': true },
  });
  const cancelled = new Promise<void>((resolve, reject) => {
    reader.consume(name, (message) => message === null && resolve()).catch(reject);
  });
  cancelled.catch(() => undefined);
  await untilConsumed(world, channel, name);
  for (let left = world.upTo(10); left > 0; left--) channel.sendToQueue(name, world.body(left), { persistent: true });
  await channel.deleteQueue(name);
  await Promise.race([cancelled, session.lost]);
}

async function untilConsumed(world: World, channel: Channel, queue: string): Promise<void> {
  await world.until(`${queue} has a consumer`, async () => (await channel.checkQueue(queue)).consumerCount > 0);
}

async function recovered({ world, session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  await channel.assertQueue(name, { exclusive: true });
  const count = 1 + world.upTo(10);
  for (let left = count; left > 0; left--) channel.sendToQueue(name, world.body(left));
  await session.confirmed(channel);
  for (let left = count; left > 0; left--) await channel.get(name);
  await channel.recover();
  const found = await taken(channel, name);
  const isRight = found.length === count && found.every(({ fields }) => fields.redelivered);
  expect(isRight, `${name}: ${found.length} of ${count} came back`);
}

/** Much is on its way to somebody who does not read it, and who goes. */
async function slowReader({ world, session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  await channel.assertQueue(name, { ...fleeting, durable: false });
  const reader = await world.open();
  try {
    await (await reader.channel()).consume(name, () => undefined, { noAck: world.chance(0.5) });
    reader.stopReading();
    for (let left = 60; left > 0; left--) channel.sendToQueue(name, Buffer.alloc(100_000));
    await session.confirmed(channel);
    await world.pause(world.upTo(500));
  } finally {
    reader.destroy();
  }
  await channel.deleteQueue(name);
}

/** Much comes back to somebody who does not read it for a while, and then does. */
async function lateReader({ world, session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  let returned = 0;
  channel.on('return', () => returned++);
  const count = 100 + world.upTo(400);
  session.stopReading();
  for (let left = count; left > 0; left--) channel.sendToQueue(name, Buffer.alloc(20_000), { mandatory: true });
  await world.pause(world.upTo(500));
  session.readAgain();
  await session.confirmed(channel);
  expect(returned === count, `${returned} of ${count} came back`);
}

async function beatingHearts({ world }: Round): Promise<void> {
  const quiet = await world.open({ user: 'guest', heartbeat: 1 });
  await world.pause(1_500);
  await quiet.end();
}

async function policies({ world, session, name }: Round): Promise<void> {
  const { host } = world;
  const path = `policies/%2F/${name}`;
  const channel = await session.confirmChannel();
  await channel.assertQueue(name, fleeting);
  await host.ask('PUT', path, {
    pattern: `^${name.replace('.', '\\.')}$`,
    definition: { 'max-length': 2 },
    'apply-to': 'queues',
  });
  try {
    for (let left = 5; left > 0; left--) channel.sendToQueue(name, Buffer.from(String(left)), { persistent: true });
    await session.confirmed(channel);
    const { messageCount } = await channel.checkQueue(name);
    expect(messageCount === 2, `${name} holds ${messageCount} messages under a policy of 2`);
  } finally {
    await host.ask('DELETE', path);
  }
}

async function comingAndGoingUsers({ world, name }: Round): Promise<void> {
  const { host } = world;
  const everything = { configure: '.*', write: '.*', read: '.*' };
  await host.ask('PUT', `users/${name}`, { password: name, tags: '' });
  try {
    await host.ask('PUT', `permissions/%2F/${name}`, everything);
    const session = await world.open({ user: name });
    const channel = await session.channel();
    await channel.assertQueue('', { exclusive: true });
    if (world.chance(0.5)) await session.end();
  } finally {
    await host.ask('DELETE', `users/${name}`);
  }
  const isRefused = await world.open({ user: name }).then(
    (session) => (session.destroy(), false),
    () => true,
  );
  expect(isRefused, `${name} came in after its end`);
}

async function poisonInQuorumQueue({ world, session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  await channel.assertQueue(name, fleeting);
  const limited = { 'x-queue-type': 'quorum', 'x-delivery-limit': 2 };
  const dead = { deadLetterExchange: '', deadLetterRoutingKey: name };
  await channel.assertQueue(`${name}.q`, { ...fleeting, ...dead, arguments: limited });
  for (let left = 5; left > 0; left--) channel.sendToQueue(`${name}.q`, world.body(left));
  await session.confirmed(channel);
  for (let tries = 15; tries > 0; tries--) {
    const message = await channel.get(`${name}.q`);
    if (message !== false) channel.nack(message, false, true);
  }
  await untilReady(world, channel, { queue: name, count: 5 });
}

/** With everything in it, while somebody uses it. */
async function comingAndGoingVhosts({ world, name }: Round): Promise<void> {
  const { host } = world;
  await host.ask('PUT', `vhosts/${name}`);
  try {
    const session = await world.open({ vhost: name });
    const channel = await session.confirmChannel();
    const lasting = { messageTtl: 60_000, expires: 60_000, deadLetterExchange: 'fan' };
    for (const queue of ['one', 'two']) await channel.assertQueue(queue, lasting);
    await channel.assertExchange('fan', 'fanout');
    for (const queue of ['one', 'two']) await channel.bindQueue(queue, 'fan', '');
    for (let left = world.upTo(30); left > 0; left--)
      channel.publish('fan', '', world.body(left), { persistent: true });
    await session.confirmed(channel);
    await channel.consume('two', () => undefined);
    if (world.chance(0.5)) session.destroy();
    else session.leave();
  } finally {
    await host.ask('DELETE', `vhosts/${name}`);
  }
}

/** Large letters for several readers, each of which ends in its own way: read, given back, purged, deleted, run out. */
async function lettersForMany({ world, session, name }: Round): Promise<void> {
  const channel = await session.confirmChannel();
  const queues = ['read', 'purged', 'deleted', 'left', 'lapsed'].map((end) => `${name}.${end}`);
  const [read = '', purged = '', deleted = '', , lapsed = ''] = queues;
  await channel.assertExchange(name, 'fanout', passing);
  for (const queue of queues) {
    await channel.assertQueue(queue, queue === lapsed ? { ...fleeting, messageTtl: world.upTo(300) } : fleeting);
    await channel.bindQueue(queue, name, '');
  }
  const count = 1 + world.upTo(10);
  for (let number = 1; number <= count; number++) channel.publish(name, '', world.body(number), { persistent: true });
  await session.confirmed(channel);
  const handed = await channel.get(read);
  if (handed !== false) channel.nack(handed, false, true);
  const numbers = (await taken(channel, read)).map(({ content }) => world.numberIn(content));
  expect(
    numbers.length === count && numbers.every((number, at) => number === at + 1),
    `${read} held ${numbers.join(' ')}`,
  );
  const { messageCount } = await channel.purgeQueue(purged);
  expect(messageCount === count, `${purged} held ${messageCount} of ${count}`);
  await channel.deleteQueue(deleted);
}

const rounds: readonly ((round: Round) => Promise<void>)[] = [
  passingQueues,
  passingQueues,
  passingQueues,
  changingBindings,
  changingBindings,
  headersAndAlternates,
  deadLetterCircle,
  prioritiesAndLengths,
  transactions,
  remoteCalls,
  channelChurn,
  endedQueue,
  recovered,
  slowReader,
  lateReader,
  beatingHearts,
  policies,
  comingAndGoingUsers,
  comingAndGoingVhosts,
  poisonInQuorumQueue,
  lettersForMany,
  lettersForMany,
];

/** One thing after the other, each on a connection of its own, which goes with or without a word. */
export async function doRounds(world: World): Promise<void> {
  while (!world.isOver) {
    const round = rounds[world.upTo(rounds.length)] ?? passingQueues;
    await world.attempt(round.name, async (session) => {
      await round({ world, session, name: world.freshName('round') });
      await session.end();
    });
  }
}
