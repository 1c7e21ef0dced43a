import type { Sentence } from '../sentence.js';
import { connection } from './connection.js';
import { bounds } from './bounds.js';
import { letters } from './letters.js';
import { mailbox } from './mailbox.js';
import { notifications } from './notifications.js';
import { reading } from './reading.js';
import { reconnect } from './reconnect.js';
import { routing } from './routing.js';
import { rpc } from './rpc.js';
import { settlement } from './settlement.js';

/** Every sentence that a transport must make true. */
export const conformance: readonly Sentence[] = [
  ...settlement,
  ...reading,
  ...routing,
  ...bounds,
  ...connection,
  ...reconnect,
  ...rpc,
  ...notifications,
  ...mailbox,
  ...letters,
];
