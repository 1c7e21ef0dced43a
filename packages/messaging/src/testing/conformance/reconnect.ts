import type { Delivery } from '../../driver.js';
import { rpcClient } from '../../rpc/client.js';
import { rpcServer } from '../../rpc/server.js';
import type { Transport } from '../../transport/transport.js';
import { Collected, expect, expectEqual, text, within } from '../expect.js';
import { byName, message, type Sentence } from '../sentence.js';
import type { Harness } from '../harness.js';
import { accept } from './settlement.js';

/** What a transport restores after its connection was cut. */
export const reconnect: readonly Sentence[] = [
  {
    says: 'a cut is seen, mended, and what is published meanwhile arrives',
    needs: ['cut'],
    holds: async (harness) => {
      const transport = await harness.connect();
      const mailbox = harness.mailbox();
      await transport.ensure(mailbox);
      await cutAndSee(harness, transport);
      await within(transport.publish(byName(mailbox), message('meanwhile')), 'the publish');
      expectEqual(transport.state, 'connected', 'the state');
      accept(harness.track((await transport.get(mailbox.source)) ?? missing()), 'meanwhile');
    },
  },
  {
    says: 'a subscription goes on after a cut; what was unsettled comes again, and its first copy is stale',
    needs: ['cut', 'redelivers'],
    holds: async (harness) => {
      const transport = await harness.connect();
      const mailbox = harness.mailbox();
      await transport.ensure(mailbox);
      const seen = new Collected<Delivery>();
      const subscription = await transport.consume(mailbox.source, { credit: 5, onDelivery: seen.add });
      await transport.publish(byName(mailbox), message('a'));
      const [stale] = await seen.atLeast(1, 'delivery');
      await cutAndSee(harness, transport);
      const again = (await seen.atLeast(2, 'deliveries'))[1];
      expect(stale?.accept() === false, 'the stale copy cannot be accepted');
      expect(again?.redelivered === true, 'the new copy is marked');
      expect(again?.accept() === true, 'the new copy can be accepted');
      await subscription.stop();
      expect((await transport.get(mailbox.source)) === undefined, 'nothing is left');
    },
  },
  {
    says: 'what was settled before a cut does not come again',
    needs: ['cut'],
    holds: async (harness) => {
      const transport = await harness.connect();
      const mailbox = harness.mailbox();
      await transport.ensure(mailbox);
      const seen = new Collected<string>();
      await transport.consume(mailbox.source, {
        credit: 1,
        onDelivery: (delivery) => {
          seen.add(text(delivery.message.body));
          delivery.accept();
        },
      });
      // With a credit of one, the second delivery proves that the broker knows of the first one's end.
      for (const body of ['a', 'b']) await transport.publish(byName(mailbox), message(body));
      await seen.atLeast(2, 'deliveries');
      await transport.publish(byName(mailbox), message('c'));
      await seen.atLeast(3, 'deliveries');
      await cutAndSee(harness, transport);
      await within(transport.publish(byName(mailbox), message('d'), { resend: true }), 'the publish');
      await seen.atLeast(4, 'deliveries');
      expectEqual(
        seen.items.filter((body) => body === 'a' || body === 'b'),
        ['a', 'b'],
        'settled letters',
      );
    },
  },
  {
    says: 'a call that is running when the connection is cut gets its answer',
    needs: ['cut', 'keepsReplies'],
    holds: async (harness) => {
      const [near, far] = [await harness.connect(), await harness.connect()];
      const topic = harness.name('topic');
      const started = new Collected<() => void>();
      const wait = (): Promise<string> => new Promise((resolve) => started.add(() => resolve('done')));
      const server = rpcServer(far, { topic, server: 'one' }, [{ methods: { wait } }]);
      harness.made(`${topic}.one`);
      await server.start();
      const call = rpcClient(near, { topic }).call('wait');
      const [finish] = await started.atLeast(1, 'call');
      await cutAndSee(harness, near);
      finish?.();
      expectEqual(await within(call, 'the answer'), 'done', 'the answer');
      await server.stop();
    },
  },
  {
    says: 'a call whose reply queue was deleted meanwhile gets its answer all the same',
    needs: ['administers', 'returns'],
    holds: async (harness) => {
      const [near, far] = [await harness.connect(), await harness.connect()];
      const topic = harness.name('topic');
      const started = new Collected<() => void>();
      const wait = (): Promise<string> => new Promise((resolve) => started.add(() => resolve('done')));
      const server = rpcServer(far, { topic, server: 'one' }, [{ methods: { wait } }]);
      harness.made(`${topic}.one`);
      await server.start();
      const call = rpcClient(near, { topic }).call('wait');
      const [finish] = await started.atLeast(1, 'call');
      const queue = await near.replies.address(new AbortController().signal);
      await far.delete({ queue });
      finish?.();
      expectEqual(await within(call, 'the answer'), 'done', 'the answer');
      await server.stop();
    },
  },
];

/** Cuts and waits until the transport has been away and is back. */
async function cutAndSee(harness: Harness, transport: Transport): Promise<void> {
  const states = new Collected<string>();
  const unsubscribe = transport.onState(states.add);
  await harness.cut();
  await states.atLeast(2, 'changes of state');
  unsubscribe();
  expectEqual(states.items.slice(0, 2), ['connecting', 'connected'], 'the states');
}

function missing(): never {
  throw new Error('expected: a message is there');
}
