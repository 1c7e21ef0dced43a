import { sleep } from '@torcello/platform';
import type { Clock } from '@torcello/platform';
import type { TargetClient } from './target-client.js';
import { TargetError } from './target-error.js';

/** Most unsettled deliveries that AMQP lets a consumer ask for. */
const prefetchMax = 65_535;
const consumerTag = 'torcello-move';
const lookMs = 20;
/** Looks without a new delivery after which a queue that shows none ready has no more; and one that shows some is stuck. */
const [emptyLooks, stuckLooks] = [3, 3_000];
const getsAtOnce = 200;

/** Takes the first messages of a queue, at most `count`, and gives them back, so that they are marked as redelivered. @throws TargetError. */
export async function markSeen(
  client: TargetClient,
  queue: { readonly name: string; readonly isAutoDelete: boolean },
  count: number,
  clock: Clock,
): Promise<void> {
  if (queue.isAutoDelete) await fetchAll(client, queue.name, count);
  else await consumeAll(client, queue.name, count, clock);
  await client.call({ name: 'basic.recover', requeue: true }, 'basic.recover-ok');
}

/** Lets a consumer hold messages as they come, so that they leave room in a queue that refuses more. */
export function holdBack(client: TargetClient, queue: string): Promise<void> {
  return consume(client, queue, 0);
}

/** What is held goes back, marked as redelivered. */
export async function giveBack(client: TargetClient): Promise<void> {
  await client.call({ name: 'basic.cancel', consumerTag }, 'basic.cancel-ok');
  await client.call({ name: 'basic.recover', requeue: true }, 'basic.recover-ok');
}

async function consume(client: TargetClient, queue: string, count: number): Promise<void> {
  const prefetchCount = count > prefetchMax ? 0 : count;
  await client.call({ name: 'basic.qos', prefetchSize: 0, prefetchCount }, 'basic.qos-ok');
  await client.call({ name: 'basic.consume', queue, consumerTag }, 'basic.consume-ok');
}

/** Messages may expire meanwhile, so the number that comes may be smaller. */
async function consumeAll(client: TargetClient, queue: string, count: number, clock: Clock): Promise<void> {
  const before = client.deliveries;
  await consume(client, queue, count);
  let [last, looks] = [-1, 0];
  while (client.deliveries - before < count) {
    const { messageCount } = await client.call(
      { name: 'queue.declare', queue, passive: true, arguments: {} },
      'queue.declare-ok',
    );
    looks = client.deliveries === last ? looks + 1 : 0;
    if (messageCount === 0 && looks >= emptyLooks) break;
    if (looks > stuckLooks)
      throw new TargetError(0, `queue '${queue}' hands out nothing of its ${messageCount} messages`);
    last = client.deliveries;
    await sleep(clock, lookMs);
  }
  await client.call({ name: 'basic.cancel', consumerTag }, 'basic.cancel-ok');
}

/** The end of its last consumer would end the queue. */
async function fetchAll(client: TargetClient, queue: string, count: number): Promise<void> {
  const [deliveries, empty] = [client.deliveries, client.emptyGets];
  for (let asked = 0; asked < count && client.emptyGets === empty;) {
    const upTo = Math.min(count, asked + getsAtOnce);
    for (; asked < upTo; asked++) client.send({ name: 'basic.get', queue });
    const wanted = asked;
    await client.until(() => client.deliveries - deliveries + client.emptyGets - empty >= wanted);
  }
}
