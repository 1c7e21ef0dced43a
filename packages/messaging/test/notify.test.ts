import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import {
  notificationListener,
  notifier,
  priorities,
  type Notification,
  type NotificationEndpoint,
} from '../src/index.js';
import { compileFilter } from '../src/notify/filter.js';
import { makeWorld, settled } from './support/world.js';

function collecting(seen: Notification[]): NotificationEndpoint {
  const note = (notification: Notification): void => void seen.push(notification);
  return { audit: note, debug: note, info: note, warn: note, error: note, critical: note, sample: note };
}

for (const format of ['v1', 'v2'] as const) {
  test(`all seven priorities arrive in format ${format}, also those sent before there was a listener`, async () => {
    const world = makeWorld();
    await using transport = await world.join();
    const notify = notifier(transport, { publisherId: 'shop.one', format });
    for (const priority of priorities) await notify[priority](`${priority}.event`, { of: priority }, { tenant: 't' });
    const seen: Notification[] = [];
    const listener = notificationListener(transport, [{ topic: 'notifications' }], [collecting(seen)]);
    await listener.start();
    await settled();
    assert.deepEqual(
      seen.map(({ priority, eventType, payload, publisherId, context }) => [
        priority,
        eventType,
        payload,
        publisherId,
        context,
      ]),
      priorities.map((priority) => [priority, `${priority}.event`, { of: priority }, 'shop.one', { tenant: 't' }]),
    );
    assert.match(seen[0]?.timestamp ?? '', /^2026-01-01 00:00:00\.000000$/);
    assert.match(seen[0]?.messageId ?? '', /^[0-9a-f]{8}-/);
    await listener.stop();
  });
}

test('every pool gets its own copy, listeners of one pool share', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const seen: Record<string, Notification[]> = { a1: [], a2: [], b: [], plain: [] };
  const pools = { a1: 'a', a2: 'a', b: 'b', plain: undefined };
  const listeners = Object.entries(pools).map(([name, pool]) =>
    notificationListener(
      transport,
      [{ topic: 't' }],
      [collecting(seen[name] ?? [])],
      pool === undefined ? {} : { pool },
    ),
  );
  for (const listener of listeners) await listener.start();
  const notify = notifier(transport, { publisherId: 'p', topics: ['t'] });
  for (let count = 0; count < 4; count += 1) await notify.info('e', count);
  await settled();
  const counts = Object.fromEntries(Object.entries(seen).map(([name, list]) => [name, list.length]));
  assert.deepEqual(counts, { a1: 2, a2: 2, b: 4, plain: 4 });
  for (const listener of listeners) await listener.stop();
});

for (const allowRequeue of [true, false]) {
  test(`a handler that fails ${allowRequeue ? 'gives the notification back' : 'loses it, as in oslo'}`, async () => {
    const world = makeWorld();
    await using transport = await world.join();
    let tries = 0;
    const info = (): undefined => {
      tries += 1;
      if (tries === 1) throw new Error('not yet');
    };
    const listener = notificationListener(transport, [{ topic: 'notifications' }], [{ info }], { allowRequeue });
    await listener.start();
    await notifier(transport, { publisherId: 'p' }).info('e', null);
    await settled();
    assert.equal(tries, allowRequeue ? 2 : 1);
    assert.equal((await transport.inspect({ queue: 'notifications.info' })).messages, 0);
    await listener.stop();
  });
}

test('requeue asks no further endpoint; only wanted notifications are handed over', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const log: string[] = [];
  const endpoints: NotificationEndpoint[] = [
    { filter: { eventType: 'order\\.' }, info: () => void log.push('filtered') },
    { info: () => (log.push('first') === 1 ? 'requeue' : 'handled') },
    { info: () => void log.push('second') },
  ];
  const listener = notificationListener(transport, [{ topic: 'notifications' }], endpoints, { allowRequeue: true });
  await listener.start();
  await notifier(transport, { publisherId: 'p' }).info('other', null);
  await settled();
  assert.deepEqual(log, ['first', 'first', 'second']);
  await listener.stop();
});

test('a notification that fails again and again is not retried in a hurry, and stop does not wait for it', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  let tries = 0;
  const info = (): 'requeue' => {
    tries += 1;
    return 'requeue';
  };
  const listener = notificationListener(transport, [{ topic: 'notifications' }], [{ info }], { allowRequeue: true });
  await listener.start();
  await notifier(transport, { publisherId: 'p' }).info('e', null);
  await world.clock.advance(60_000);
  assert.ok(tries >= 8 && tries <= 20, `${tries} tries in a minute`);
  await listener.stop();
  assert.equal((await transport.inspect({ queue: 'notifications.info' })).messages, 1, 'it is still there');
});

test('a notification whose confirm was lost arrives once', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const seen: Notification[] = [];
  const listener = notificationListener(transport, [{ topic: 'notifications' }], [collecting(seen)]);
  await listener.start();
  const notify = notifier(transport, { publisherId: 'p' });
  await notify.info('first', null);
  world.broker.swallowConfirms(1);
  const sent = notify.info('second', null);
  await world.clock.advance(2_000);
  await sent;
  assert.deepEqual(
    seen.map(({ eventType }) => eventType),
    ['first', 'second'],
  );
  assert.equal((await transport.inspect({ queue: 'notifications.info' })).messages, 0);
  await listener.stop();
});

test('a notification finds its queue again after somebody deleted it', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const notify = notifier(transport, { publisherId: 'p' });
  await notify.warn('one', null);
  await transport.delete({ queue: 'notifications.warn' });
  await notify.warn('two', null);
  assert.equal((await transport.inspect({ queue: 'notifications.warn' })).messages, 1);
});

interface FilterVectors {
  readonly message: {
    readonly context: Record<string, unknown>;
    readonly publisher_id: string;
    readonly event_type: string;
    readonly metadata: { readonly message_id: string; readonly timestamp: string };
    readonly payload: unknown;
  };
  readonly cases: readonly { readonly filter: Readonly<Record<string, unknown>>; readonly matches: boolean }[];
}

const vectors = JSON.parse(
  readFileSync(new URL('golden/vectors-notification-filter.json', import.meta.url), 'utf8'),
) as FilterVectors;

for (const { filter, matches } of vectors.cases) {
  test(`the filter ${JSON.stringify(filter)} ${matches ? 'fits' : 'does not fit'}, as in oslo`, () => {
    const { message } = vectors;
    const names: Readonly<Record<string, string>> = { publisher_id: 'publisherId', event_type: 'eventType' };
    const renamed = Object.fromEntries(Object.entries(filter).map(([name, rule]) => [names[name] ?? name, rule]));
    const notification = {
      eventType: message.event_type,
      publisherId: message.publisher_id,
      payload: message.payload,
      context: message.context,
      messageId: message.metadata.message_id,
      timestamp: message.metadata.timestamp,
    };
    assert.equal(compileFilter(renamed)(notification), matches);
  });
}
