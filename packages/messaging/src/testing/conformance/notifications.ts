import { notificationListener } from '../../notify/listener.js';
import { priorities, type Notification } from '../../notify/notification.js';
import { notifier } from '../../notify/notifier.js';
import { Collected, expectEqual } from '../expect.js';
import type { Harness } from '../harness.js';
import type { Sentence } from '../sentence.js';

/** Notifications and who hears them. */
export const notifications: readonly Sentence[] = [
  {
    says: 'notifications of all seven priorities wait for a listener that was never there',
    holds: async (harness) => {
      const transport = await harness.connect();
      const topic = notificationTopic(harness);
      for (const format of ['v1', 'v2'] as const) {
        const notify = notifier(transport, { publisherId: 'p', topics: [topic], format });
        for (const priority of priorities)
          await notify[priority](`${format}.${priority}`, { priority }, { user: 'ann' });
      }
      const seen = new Collected<Notification>();
      const listener = notificationListener(transport, [{ topic }], [everything(seen)]);
      await listener.start();
      harness.atEnd(() => listener.stop());
      const got = await seen.atLeast(14, 'notifications');
      const wanted = priorities.flatMap((priority) => [`v1.${priority}`, `v2.${priority}`]);
      expectEqual(got.map(({ eventType }) => eventType).toSorted(), wanted.toSorted(), 'event types');
      for (const { priority, payload, publisherId, context } of got) {
        expectEqual([payload, publisherId, context], [{ priority }, 'p', { user: 'ann' }], 'what arrived');
      }
    },
  },
  {
    says: 'every pool gets all notifications, and listeners of one pool share them',
    needs: ['routes'],
    holds: async (harness) => {
      const transport = await harness.connect();
      const topic = notificationTopic(harness);
      const [shared, alone] = [new Collected<Notification>(), new Collected<Notification>()];
      const pools = [
        [harness.name('pool'), shared],
        [harness.name('pool'), alone],
      ] as const;
      const [[first]] = pools;
      for (const [pool, seen] of [...pools, [first, shared] as const]) {
        const listener = notificationListener(transport, [{ topic }], [{ info: (n) => seen.add(n) }], { pool });
        await listener.start();
        harness.atEnd(() => listener.stop());
      }
      const notify = notifier(transport, { publisherId: 'p', topics: [topic] });
      const events = Array.from({ length: 10 }, (_, at) => `e${at}`);
      for (const event of events) await notify.info(event, null);
      for (const seen of [shared, alone]) {
        await seen.atLeast(events.length, 'notifications');
        expectEqual(seen.items.map(({ eventType }) => eventType).toSorted(), events, 'each event once');
      }
    },
  },
  {
    says: 'a requeued notification comes again where requeueing is allowed',
    needs: ['redelivers'],
    holds: async (harness) => {
      const transport = await harness.connect();
      const topic = notificationTopic(harness);
      const seen = new Collected<Notification>();
      const info = (n: Notification): 'requeue' | 'handled' => {
        seen.add(n);
        return seen.items.length === 1 ? 'requeue' : 'handled';
      };
      const listener = notificationListener(transport, [{ topic }], [{ info }], { allowRequeue: true });
      await listener.start();
      harness.atEnd(() => listener.stop());
      await notifier(transport, { publisherId: 'p', topics: [topic] }).info('once', null);
      await seen.atLeast(2, 'notifications');
      await notifier(transport, { publisherId: 'p', topics: [topic] }).info('last', null);
      await seen.atLeast(3, 'notifications');
      expectEqual(
        seen.items.map(({ eventType }) => eventType),
        ['once', 'once', 'last'],
        'the order',
      );
    },
  },
];

function notificationTopic(harness: Harness): string {
  const topic = harness.name('events');
  for (const priority of priorities) harness.made(`${topic}.${priority}`);
  return topic;
}

function everything(seen: Collected<Notification>): Parameters<typeof notificationListener>[2][number] {
  return Object.fromEntries(priorities.map((priority) => [priority, seen.add]));
}
