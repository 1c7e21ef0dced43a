import { sleep } from '@torcello/platform';
import type { Clock } from '@torcello/platform';
import type { TargetClient } from './target-client.js';

/** Most unsettled deliveries that AMQP lets a consumer ask for. */
const prefetchMax = 65_535;
const consumerTag = 'torcello-move';
const lookMs = 20;
/** Looks without a new delivery after which there are no more; more of them where the queue shows some that are ready. */
const [emptyLooks, stuckLooks] = [3, 500];
const getsAtOnce = 200;

/**
 * Takes the first messages of a queue, at most `count`, and gives them back, so that they are marked as redelivered. A quorum
 * queue with a single active consumer hands out 65,535 of them.
 * @throws TargetError.
 */
export async function markSeen(
  client: TargetClient,
  queue: { readonly name: string; readonly isAutoDelete: boolean },
  count: number,
  clock: Clock,
): Promise<void> {
  const tags = queue.isAutoDelete
    ? await fetchAll(client, queue.name, count)
    : await consumeAll(client, queue.name, count, clock);
  for (const deliveryTag of tags) client.send({ name: 'basic.nack', deliveryTag, multiple: true, requeue: true });
  // What went back is there, and marked, when the queue answers the next question.
  await client.call(lookAt(queue.name), 'queue.declare-ok');
}

function lookAt(queue: string) {
  return { name: 'queue.declare', queue, passive: true, arguments: {} } as const;
}

/** Lets a consumer hold messages as they come, so that they leave room in a queue that refuses more. */
export function holdBack(client: TargetClient, queue: string): Promise<void> {
  return consume(client, { queue, consumerTag, prefetchCount: 0 });
}

/** What is held goes back, marked as redelivered. */
export async function giveBack(client: TargetClient): Promise<void> {
  await client.call({ name: 'basic.cancel', consumerTag }, 'basic.cancel-ok');
  await client.call({ name: 'basic.recover', requeue: true }, 'basic.recover-ok');
}

interface Consumer {
  readonly queue: string;
  readonly consumerTag: string;
  readonly prefetchCount: number;
}

async function consume(client: TargetClient, { prefetchCount, ...consumer }: Consumer): Promise<void> {
  await client.call({ name: 'basic.qos', prefetchSize: 0, prefetchCount }, 'basic.qos-ok');
  await client.call({ name: 'basic.consume', ...consumer }, 'basic.consume-ok');
}

/**
 * One consumer after the other takes as many as it may, so that they can go back in the same order. Gives the last delivery
 * tag of each.
 */
async function consumeAll(client: TargetClient, queue: string, count: number, clock: Clock): Promise<number[]> {
  const tags: number[] = [];
  const names: string[] = [];
  for (let left = count; left > 0;) {
    const wanted = Math.min(left, prefetchMax);
    const name = `${consumerTag}-${names.length}`;
    names.push(name);
    const taken = await consumeSome(client, { queue, consumerTag: name, prefetchCount: wanted }, clock);
    if (taken > 0) tags.push(client.deliveries);
    left -= taken;
    if (taken < wanted) break;
  }
  for (const name of names) await client.call({ name: 'basic.cancel', consumerTag: name }, 'basic.cancel-ok');
  return tags;
}

/** Messages may expire meanwhile, so the number that comes may be smaller. */
async function consumeSome(client: TargetClient, consumer: Consumer, clock: Clock): Promise<number> {
  const { queue, prefetchCount: count } = consumer;
  const before = client.deliveries;
  await consume(client, consumer);
  let [last, looks] = [-1, 0];
  while (client.deliveries - before < count) {
    const { messageCount } = await client.call(lookAt(queue), 'queue.declare-ok');
    looks = client.deliveries === last ? looks + 1 : 0;
    if (looks >= (messageCount === 0 ? emptyLooks : stuckLooks)) break;
    last = client.deliveries;
    await sleep(clock, lookMs);
  }
  return client.deliveries - before;
}

/** The end of its last consumer would end the queue. */
async function fetchAll(client: TargetClient, queue: string, count: number): Promise<number[]> {
  const [deliveries, empty] = [client.deliveries, client.emptyGets];
  for (let asked = 0; asked < count && client.emptyGets === empty;) {
    const upTo = Math.min(count, asked + getsAtOnce);
    for (; asked < upTo; asked++) client.send({ name: 'basic.get', queue });
    const wanted = asked;
    await client.until(() => client.deliveries - deliveries + client.emptyGets - empty >= wanted);
  }
  return client.deliveries > deliveries ? [client.deliveries] : [];
}
