import type { ConfirmChannel } from 'amqplib';
import type { StreamLedger } from './stream-ledger.js';
import { leftoverMs } from './world.js';
import type { Session, World } from './world.js';

const lettersMax = 12;
const letterMs = 1_200;

/** Mailboxes of machines that are off: letters wait, are fetched, or run out and go to the queue `dead`; so do the boxes. */
export async function keepMailboxes(world: World, ledger: StreamLedger): Promise<void> {
  while (!world.isOver) await world.attempt('mailboxes', (session) => oneMailbox(world, ledger, session));
}

async function oneMailbox(world: World, ledger: StreamLedger, session: Session): Promise<void> {
  const box = world.freshName('box');
  const channel = await session.confirmChannel();
  await channel.assertQueue(box, {
    durable: true,
    expires: leftoverMs,
    messageTtl: letterMs,
    deadLetterExchange: '',
    deadLetterRoutingKey: 'dead',
  });
  const returned = new Set<number>();
  channel.on('return', (message) => {
    const number = world.numberIn(message.content);
    returned.add(number);
    ledger.refused(number);
  });
  for (let left = 1 + world.upTo(lettersMax); left > 0; left--) {
    const number = ledger.next();
    const expiration = world.chance(0.2) ? { expiration: String(world.upTo(letterMs)) } : {};
    const options = { persistent: true, mandatory: true, ...expiration };
    channel.sendToQueue(box, world.body(number), options, (error: unknown) => {
      if ((error ?? null) === null && !returned.has(number)) ledger.confirmed(number);
    });
  }
  await session.confirmed(channel);
  if (world.chance(0.6)) await bootMachine(world, ledger, { box, session });
  await endQuietly(world, channel, session);
}

/** The machine comes up and polls: what it has in hand when it dies goes back. */
async function bootMachine(
  world: World,
  ledger: StreamLedger,
  { box, session }: { readonly box: string; readonly session: Session },
): Promise<void> {
  const channel = await session.channel();
  const acked: number[] = [];
  const held: number[] = [];
  try {
    for (let tries = world.upTo(lettersMax); tries > 0; tries--) {
      const message = await channel.get(box);
      if (message === false) break;
      const number = world.numberIn(message.content);
      const complaint = ledger.delivered(number, message.fields.redelivered);
      if (complaint !== undefined) world.wrong(`${box} ${complaint}`);
      if (world.chance(0.8)) {
        channel.ack(message);
        ledger.acked(number);
        acked.push(number);
      } else held.push(number);
    }
    await channel.close();
  } catch (error) {
    for (const number of acked) ledger.mayComeBack(number);
    throw error;
  } finally {
    for (const number of held) ledger.givenBack(number);
  }
}

async function endQuietly(world: World, channel: ConfirmChannel, session: Session): Promise<void> {
  if (world.chance(0.7)) {
    await channel.close();
    await session.close();
  } else session.destroy();
}
