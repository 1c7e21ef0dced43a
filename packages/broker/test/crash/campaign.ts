import { connect } from 'amqplib';
import type { ConfirmChannel, ConsumeMessage, Message } from 'amqplib';
import { seededRandom } from '@torcello/platform/testing';
import type { Random } from '@torcello/platform';
import { CrashLedger } from './ledger.js';
import type { CrashMethod } from './methods.js';
import { startBundled } from './program.js';
import type { CrashableBroker } from './program.js';

export interface CampaignOptions {
  readonly program: string;
  readonly method: CrashMethod;
  readonly seed: number;
  readonly cycles: number;
  readonly report: (line: string) => void;
}

export interface CampaignResult {
  readonly confirmed: number;
  readonly lost: number;
  readonly invented: number;
  readonly disorders: number;
}

const outstandingMax = 200;
const backlogKeptMax = 2_000;
/** Gets everything as well, and keeps only the last ones. */
const twin = 'twin';

/**
 * Kills the broker in the middle of publishes and unsynced acknowledgements, starts it again on the same folder and
 * compares what it has with a ledger outside of it, as often as asked.
 */
export async function crashCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const random = seededRandom(options.seed);
  const ledger = new CrashLedger();
  let [lost, invented, disorders] = [0, 0, 0];
  for (let cycle = 1; cycle <= options.cycles; cycle++) {
    const broker = await startOrReport(options, cycle);
    if (broker === undefined) {
      lost += Math.max(1, ledger.owedCount);
      break;
    }
    const client = await openClient(broker);
    const found = await readAll(client);
    const verdict = ledger.judge(found.map(({ number, isIntact }) => ({ number, isIntact })));
    lost += verdict.lost.length;
    invented += verdict.invented.length;
    if (verdict.disorder !== undefined) disorders++;
    const isWrong = verdict.lost.length + verdict.invented.length > 0 || verdict.disorder !== undefined;
    if (isWrong) options.report(`cycle ${cycle}: ${JSON.stringify(verdict).slice(0, 500)}`);
    settle(client, found, { ledger, random });
    await publishUntilKilled(client, broker, { ledger, random, method: options.method });
    await broker.exited;
    options.method.mend();
    if (cycle % 100 === 0) options.report(`${cycle} cycles, ${ledger.confirmedCount} confirmed, lost ${lost}`);
  }
  return { confirmed: ledger.confirmedCount, lost, invented, disorders };
}

/** Undefined when the broker finds its data unusable, which loses everything. */
async function startOrReport(options: CampaignOptions, cycle: number): Promise<CrashableBroker | undefined> {
  try {
    return await startBundled(options.program, options.method.folder, options.method.env(cycle));
  } catch (error) {
    options.report(`cycle ${cycle}: the broker does not start: ${String(error).trim()}`);
    return undefined;
  }
}

interface Client {
  readonly channel: ConfirmChannel;
  readonly closed: Promise<unknown>;
}

interface Found {
  readonly number: number;
  readonly isIntact: boolean;
  readonly message: Message;
}

interface Surroundings {
  readonly ledger: CrashLedger;
  readonly random: Random;
}

async function openClient(broker: CrashableBroker): Promise<Client> {
  const connection = await connect(broker.amqp, { noDelay: true });
  connection.on('error', () => undefined);
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  await channel.assertExchange('x', 'topic', { durable: true });
  await channel.assertQueue('q', { durable: true, arguments: { 'x-queue-type': 'classic' } });
  await channel.bindQueue('q', 'x', 'key.*');
  await channel.assertQueue(twin, { durable: true, maxLength: 200, arguments: { 'x-queue-type': 'classic' } });
  await channel.bindQueue(twin, 'x', 'key.*');
  const closed = new Promise((resolve) => connection.once('close', resolve));
  return { channel, closed };
}

/** Takes everything that the queue has, in order, unacknowledged. */
async function readAll(client: Client): Promise<Found[]> {
  const { channel } = client;
  const found: Found[] = [];
  let { messageCount } = await channel.checkQueue('q');
  while (found.length < messageCount) {
    const message = await channel.get('q');
    if (message === false) break;
    found.push(read(message));
    messageCount = Math.max(messageCount, found.length + message.fields.messageCount);
  }
  return found;
}

/** The body of a message repeats its number, so that damage shows. Some are large enough to be shared by the two queues. */
export function bodyOf(number: number): Buffer {
  const isLarge = number % 16 === 0;
  return Buffer.from(`${number} `.repeat(isLarge ? 4_096 : 1 + (number % 40)));
}

function read(message: Message): Found {
  const number = Number.parseInt(message.content.toString(), 10);
  return { number, isIntact: message.content.equals(bodyOf(number)), message };
}

/** Acknowledges some of what was found, gives the rest back or keeps it; nothing of it is waited for. */
function settle(client: Client, found: readonly Found[], { ledger, random }: Surroundings): void {
  const share = random.fraction();
  found.forEach(({ number, message }, at) => {
    const isOld = found.length - at > backlogKeptMax;
    if (isOld || random.fraction() < share) {
      client.channel.ack(message);
      ledger.acked(number);
    } else if (random.fraction() < 0.3) client.channel.nack(message, false, true);
  });
}

/** Publishes, and acknowledges what comes, until the broker is killed after some confirms or some instants. */
async function publishUntilKilled(
  client: Client,
  broker: CrashableBroker,
  around: Surroundings & { readonly method: CrashMethod },
): Promise<void> {
  const { ledger, random, method } = around;
  const { channel } = client;
  const isAtOnce = random.fraction() < 0.3;
  const killAfter = isAtOnce ? 0 : Math.floor(random.fraction() ** 2 * 2_000);
  let confirms = 0;
  let outstanding = 0;
  let isKilled = false;
  let left = method.outcomesAfter;
  const kill = (): void => {
    if (!isKilled) method.strike(broker);
    isKilled = true;
  };
  if (random.fraction() < 0.5) consumeSome(client, around);
  const fill = (): void => {
    while ((!isKilled || left > 0) && outstanding < outstandingMax) {
      const number = ledger.next();
      outstanding++;
      channel.publish('x', `key.${number}`, bodyOf(number), { persistent: true }, (error: unknown) => {
        outstanding--;
        if (isKilled && method.outcomesAfter > 0 && --left === 0) broker.child.kill('SIGKILL');
        if ((error ?? null) === null) ledger.confirmed(number);
        else if (error instanceof Error && error.message === 'message nacked') ledger.refused(number);
        else return;
        if (++confirms >= killAfter) kill();
        fill();
      });
    }
  };
  if (isAtOnce) {
    await new Promise((resolve) => setImmediate(resolve));
    kill();
  }
  if (!isAtOnce || method.outcomesAfter > 0) fill();
  await client.closed;
}

function consumeSome({ channel }: Client, { ledger, random }: Surroundings): void {
  const take = (message: ConsumeMessage | null): void => {
    if (message === null || random.fraction() < 0.3) return;
    channel.ack(message);
    ledger.acked(read(message).number);
  };
  channel.consume('q', take).catch(() => undefined);
}
