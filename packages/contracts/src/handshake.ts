import {
  agentsExchange,
  heartbeatsMailbox,
  machineMailboxPrefix,
  outputMailbox,
  resultsMailbox,
  tasksMailbox,
} from './names.js';

/**
 * Where the programs meet when the broker keeps no mailboxes: the API keeps them in its database. A reader says "I am
 * running" on the topic and is called with what waits for it; agents send upward by calls that the API answers when it
 * has stored what they say.
 */
export const handshakeAddress: {
  readonly exchange: string;
  readonly topic: string;
  readonly isMailbox: (queue: string) => boolean;
  readonly upward: readonly {
    readonly queue: string;
    readonly exchange: string;
    readonly routingKeys: readonly string[];
  }[];
} = {
  exchange: 'torcello',
  topic: 'torcello.handshake',
  isMailbox: (queue) => queue === tasksMailbox || queue.startsWith(machineMailboxPrefix),
  upward: [
    { queue: resultsMailbox, exchange: agentsExchange, routingKeys: ['*.result', '*.progress'] },
    { queue: outputMailbox, exchange: agentsExchange, routingKeys: ['*.output'] },
    { queue: heartbeatsMailbox, exchange: agentsExchange, routingKeys: ['*.heartbeat'] },
  ],
};

/**
 * How letters get to agents and conductors. `mailboxes`: they wait at the broker. `handshake`: they wait in the API's
 * database until their reader says that it runs.
 */
export type CarrierKind = 'mailboxes' | 'handshake';
