import { handshakeAddress } from '@torcello/contracts';
import type { CarrierKind } from '@torcello/contracts';
import { PostOffice, missingForMailboxes } from '@torcello/messaging';
import type { Capabilities, Transport } from '@torcello/messaging';
import type { Context } from '../context.js';
import { databaseLetterStore } from '../database/kept-letters.js';
import { bringLettersToBroker, openMachineMailboxes } from './change-of-broker.js';

/** How letters get to agents and conductors over the transport that is there. */
export interface Carrier {
  readonly kind: CarrierKind;
  /** What the transport lacks for mailboxes; empty where it has them. */
  readonly missing: readonly (keyof Capabilities)[];
  /** What the transport can do by itself, as of its latest connection. */
  capabilities(): Capabilities;
  /** The transport with mailboxes, whoever keeps them. */
  readonly transport: Transport;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Mailboxes at the broker where it has them, else in the database, with the handshake. Says in the log which. */
export function chooseCarrier(transport: Transport, context: Context): Carrier {
  const missing = missingForMailboxes(transport.capabilities);
  const capabilities = (): Capabilities => transport.capabilities;
  const letters = databaseLetterStore(context);
  if (missing.length === 0) {
    context.logger.info('plans wait in mailboxes at the broker', { carrier: 'mailboxes' });
    const start = (): Promise<void> => bringLettersToBroker(context, letters, transport);
    return { kind: 'mailboxes', missing, capabilities, transport, start, stop: () => Promise.resolve() };
  }
  const text = 'the broker keeps no mailboxes: plans wait in the database until the agent says that it runs';
  context.logger.info(text, { carrier: 'handshake', missing });
  const office = new PostOffice(transport, { address: handshakeAddress, store: letters });
  const start = async (): Promise<void> => {
    await openMachineMailboxes(context);
    await office.start();
  };
  return { kind: 'handshake', missing, capabilities, transport: office.transport, start, stop: () => office.stop() };
}
