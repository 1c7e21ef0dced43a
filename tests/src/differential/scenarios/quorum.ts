import { make } from '../scenario.js';
import type { Scenario, Step } from '../scenario.js';

const quorum = { 'x-queue-type': 'quorum' };

/** What a quorum queue does otherwise. */
export const quorumScenarios: readonly Scenario[] = [
  {
    name: 'quorum: x-delivery-count after a return',
    steps: [
      make.queue('~q', quorum),
      make.confirm(),
      make.publish('~q', '1', { properties: { deliveryMode: 2 } }),
      make.wait(150),
      make.get('~q', false),
      make.nack(1, true),
      make.wait(),
      make.get('~q'),
    ],
  },
  {
    name: 'quorum: delivery limit',
    steps: [
      make.queue('~dead'),
      make.queue('~q', {
        ...quorum,
        'x-delivery-limit': 1,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': '~dead',
      }),
      make.confirm(),
      make.publish('~q', '1', { properties: { deliveryMode: 2 } }),
      make.wait(150),
      make.get('~q', false),
      make.nack(1, true),
      make.wait(),
      make.get('~q', false),
      make.nack(2, true),
      make.wait(150),
      make.get('~q'),
      make.get('~dead'),
    ],
  },
  ...['quorum', 'classic'].map((type) => ({
    name: `get from a ${type} queue with a single active consumer`,
    steps: [
      make.queue('~q', { 'x-queue-type': type, 'x-single-active-consumer': true }),
      make.publish('~q', '1'),
      make.wait(150),
      make.get('~q', false),
    ],
  })),
  {
    name: 'quorum: global prefetch',
    steps: [make.queue('~q', quorum), make.qos(1, true), make.consume('~q')],
  },
  {
    name: 'quorum: exclusive consumer',
    steps: [make.queue('~q', quorum), make.consume('~q', { exclusive: true })],
  },
  ...[1, 2].map((prefetch) => ({
    name: `quorum: prefetch ${prefetch}`,
    steps: [
      make.queue('~q', quorum),
      make.qos(prefetch),
      ...[1, 2, 3].map((number): Step => make.publish('~q', `${number}`)),
      make.wait(150),
      make.consume('~q'),
      make.wait(),
      make.ack(1),
      make.wait(),
    ],
  })),
];
