import type { Transport } from '@torcello/messaging';
import { muranoTtlMs } from './pattern.js';
import type { Answer, Pattern, Plan } from './pattern.js';

/** What became of one plan. */
export interface Outcome {
  /** How often an agent began it. */
  readonly begun: number;
  readonly answers: number;
}

export const situations = [
  'all is well',
  'receiver not up yet',
  'receiver later than the ttl',
  'receiver dies',
  'sender dies',
] as const;
export type Situation = (typeof situations)[number];

/** How late a receiver comes that was not up yet. */
const lateMs = 200;
/** A ttl that is shorter than that. */
const shortTtlMs = 50;
/** So long an agent has to begin. */
const beginMs = 60_000;
const plan: Plan = { id: 'plan-1', text: 'install' };

/**
 * Plays one situation. A side dies by the end of its connection in the middle of the work, as the broker sees a program
 * that was killed; another one takes its place.
 * @param world - `connect` makes a new connection to the same broker; so long an answer is waited for that may never come.
 */
export async function measure(
  pattern: Pattern,
  situation: Situation,
  world: { readonly connect: () => Promise<Transport>; readonly patienceMs: number },
): Promise<Outcome> {
  const { patienceMs } = world;
  const transports: Transport[] = [];
  const open = async (): Promise<Transport> => {
    const transport = await world.connect();
    transports.push(transport);
    return transport;
  };
  let [begun, answers] = [0, 0];
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const isLate = situation === 'receiver not up yet' || situation === 'receiver later than the ttl';
  const ttlMs = situation === 'receiver later than the ttl' ? shortTtlMs : muranoTtlMs;
  const isCutShort = situation === 'receiver dies' || situation === 'sender dies';
  const onAnswer = (_answer: Answer): void => void (answers += 1);
  const work = async (): Promise<string> => {
    begun += 1;
    if (isCutShort && begun === 1) await held;
    return 'done';
  };
  try {
    const control = await open();
    const conductor = await pattern.conductor(control, onAnswer, ttlMs);
    const machine = await open();
    if (!isLate) await pattern.agent(machine, work);
    // That nobody takes it may be told, or not.
    await conductor.send(plan).catch(() => undefined);
    if (isLate) {
      await wait(lateMs);
      await pattern.agent(machine, work);
    }
    if (isCutShort) await until(() => begun > 0, beginMs);
    if (situation === 'receiver dies') {
      await machine.close();
      await pattern.agent(await open(), work);
    }
    if (situation === 'sender dies') {
      await control.close();
      await pattern.conductor(await open(), onAnswer, ttlMs);
    }
    if (situation !== 'receiver dies') release();
    await until(() => answers > 0, patienceMs);
    return { begun, answers };
  } finally {
    release();
    await Promise.allSettled(transports.map((transport) => transport.close()));
  }
}

async function until(isSo: () => boolean, patienceMs: number): Promise<void> {
  for (let waitedMs = 0; !isSo() && waitedMs < patienceMs; waitedMs += 10) await wait(10);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
