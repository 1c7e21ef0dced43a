import type { Channel, ConsumeMessage } from 'amqplib';
import type { StreamLedger } from './stream-ledger.js';
import { Wrong } from './world.js';
import type { Session, World } from './world.js';

const outstandingMax = 200;

/** Publishes with confirms, in bursts, until the part of the cycle is over; at times as somebody new. */
export async function publishForAWhile(world: World, ledger: StreamLedger): Promise<void> {
  while (!world.isOver) await world.attempt('publishers', (session) => publishOneLife(world, ledger, session));
}

async function publishOneLife(world: World, ledger: StreamLedger, session: Session): Promise<void> {
  const channel = await session.confirmChannel();
  let outstanding = 0;
  const publish = (): void => {
    const number = ledger.next();
    outstanding++;
    channel.sendToQueue(ledger.name, world.body(number), { persistent: true }, (error: unknown) => {
      outstanding--;
      if ((error ?? null) === null) ledger.confirmed(number);
      else if (error instanceof Error && error.message === 'message nacked') ledger.refused(number);
    });
  };
  for (let bursts = 1 + world.upTo(40); bursts > 0 && !world.isOver; bursts--) {
    for (let left = world.upTo(40); left > 0 && outstanding < outstandingMax; left--) publish();
    await Promise.race([world.pause(world.upTo(150)), session.lost]);
  }
  if (world.chance(0.7)) {
    await session.confirmed(channel);
    await session.close();
  }
}

/** Consumes as a fleet does: some acknowledge, some give back, some die, some do not read for a while. */
export async function consumeForAWhile(world: World, ledger: StreamLedger): Promise<void> {
  while (!world.isOver) {
    await world.attempt('consumers', (session) => new Reader(world, ledger, session).live());
    if (world.chance(0.1)) await world.pause(1_000);
  }
}

/** One life of one consumer. */
class Reader {
  readonly #world: World;
  readonly #ledger: StreamLedger;
  readonly #session: Session;
  readonly #held = new Map<number, ConsumeMessage>();
  readonly #acked: number[] = [];
  #lastFresh = 0;
  #isDone = false;

  constructor(world: World, ledger: StreamLedger, session: Session) {
    this.#world = world;
    this.#ledger = ledger;
    this.#session = session;
  }

  async live(): Promise<void> {
    const channel = await this.#session.channel();
    await channel.prefetch(1 + this.#world.upTo(60));
    try {
      const take = (message: ConsumeMessage | null): void => this.#take(channel, message);
      const { consumerTag } = await channel.consume(this.#ledger.name, take);
      for (let turns = 1 + this.#world.upTo(20); turns > 0 && !this.#world.isOver; turns--) await this.#turn(channel);
      if (this.#world.chance(0.3)) return this.#die();
      if (this.#world.chance(0.5)) await channel.cancel(consumerTag);
      this.#giveBack();
      await channel.close();
      await this.#session.close();
    } catch (error) {
      this.#die();
      throw error;
    }
  }

  /** What is in hand goes back with the channel, and may be with somebody else before its end is answered. */
  #giveBack(): void {
    this.#isDone = true;
    for (const number of this.#held.keys()) this.#ledger.givenBack(number);
  }

  async #turn(channel: Channel): Promise<void> {
    const isSlow = this.#world.chance(0.05);
    if (isSlow) this.#session.stopReading();
    await Promise.race([this.#world.pause(isSlow ? 700 : 100), this.#session.lost]);
    if (isSlow) this.#session.readAgain();
    const last = [...this.#held.values()].at(-1);
    if (last !== undefined) this.#ackUpTo(channel, last);
  }

  #take(channel: Channel, message: ConsumeMessage | null): void {
    if (this.#isDone || this.#session.isGoing) return;
    if (message === null) return this.#world.wrong(`${this.#ledger.name}: the consumer was cancelled`);
    const { redelivered } = message.fields;
    const number = this.#read(message);
    const complaint = this.#ledger.delivered(number, redelivered);
    if (complaint !== undefined) this.#world.wrong(complaint);
    if (!redelivered && number < this.#lastFresh) this.#world.wrong(`${number} came after ${this.#lastFresh}`);
    if (!redelivered) this.#lastFresh = number;
    this.#held.set(number, message);
    const dice = this.#world.random.fraction();
    if (dice < 0.75) this.#ack(channel, number, message);
    else if (dice < 0.8) this.#ackUpTo(channel, message);
    else if (dice < 0.88) {
      this.#held.delete(number);
      this.#ledger.givenBack(number);
      channel.nack(message, false, true);
    }
  }

  #read(message: ConsumeMessage): number {
    try {
      return this.#world.numberIn(message.content);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      this.#world.wrong(error.message);
      return 0;
    }
  }

  #ack(channel: Channel, number: number, message: ConsumeMessage): void {
    channel.ack(message);
    this.#settled(number);
  }

  #ackUpTo(channel: Channel, last: ConsumeMessage): void {
    channel.ack(last, true);
    for (const [number, { fields }] of this.#held) {
      if (fields.deliveryTag <= last.fields.deliveryTag) this.#settled(number);
    }
  }

  #settled(number: number): void {
    this.#held.delete(number);
    this.#acked.push(number);
    this.#ledger.acked(number);
  }

  #die(): void {
    this.#session.destroy();
    this.#giveBack();
    for (const number of this.#acked) this.#ledger.mayComeBack(number);
  }
}

/** Reads everything that a queue has, in its order, and has that made durable. */
export async function drain(world: World, ledger: StreamLedger, options: { readonly isDead: boolean }): Promise<void> {
  const session = await world.open();
  const channel = await session.channel();
  const queue = options.isDead ? 'dead' : ledger.name;
  let last = 0;
  for (;;) {
    const message = await channel.get(queue);
    if (message === false) break;
    const number = world.numberIn(message.content);
    const complaint = ledger.delivered(number, options.isDead || message.fields.redelivered);
    if (complaint !== undefined) world.wrong(`at the end ${complaint}`);
    if (!options.isDead && number < last) world.wrong(`at the end ${ledger.name} ${number} came after ${last}`);
    last = number;
    channel.ack(message);
    ledger.acked(number);
  }
  await channel.assertQueue(`${queue}.end`, { durable: true });
  await channel.deleteQueue(`${queue}.end`);
  await session.close();
}
