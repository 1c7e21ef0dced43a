import type { Clock } from '@torcello/platform';
import type { Broker } from '../broker.js';
import type { MoveMemory, MoveState } from './move-state.js';
import { TargetClient } from './target-client.js';
import { shownTarget } from './target-address.js';
import type { TargetAddress } from './target-address.js';
import { MoveRefused } from './target-error.js';
import { VhostMove } from './vhost-move.js';
import type { VhostReport } from './vhost-move.js';

/** What a move did. */
export interface MoveReport extends Readonly<VhostReport> {
  /** It took up a move that was cut short. */
  readonly resumed: boolean;
}

/** How far one queue is. */
export interface MoveProgress {
  readonly vhost: string;
  readonly queue: string;
  readonly moved: number;
  readonly of: number;
  /** How many have been moved since the last time. */
  readonly count: number;
}

export interface MoveOptions {
  /** The broker that is left; nobody else uses it. Its clock may stand still, so that nothing runs out here meanwhile. */
  readonly broker: Broker;
  readonly target: TargetAddress;
  readonly memory: MoveMemory;
  /** Real time, on the scale of the broker's clock. */
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly onProgress?: (progress: MoveProgress) => void;
  /** Called after each queue that had messages. */
  readonly onQueue?: (vhost: string, queue: string, messages: number) => void;
  /** The target takes no publishes for this reason; undefined: it takes them again. */
  readonly onBlocked?: (reason: string | undefined) => void;
  /** Longest silence of the target, in milliseconds. Default: a minute. */
  readonly silentMsMax?: number;
}

/**
 * Moves everything durable to another broker: all exchanges and queues first, then the messages, each to the queue that it
 * is in and with the exchange and routing key that it was published with, then the bindings. A message is forgotten here
 * once the target has confirmed it, so a move that was cut short, at any instant and on any side, is finished by the same
 * call again. What was on its way then may come twice, and is marked as redelivered with all before it. The target's virtual
 * hosts must be there and nobody may use them yet. A call after one that has finished hands over what came since.
 * @throws MoveRefused: nothing was moved. TargetError: what is confirmed by then is moved, the rest is still here.
 */
export async function move(options: MoveOptions): Promise<MoveReport> {
  const places = placesOf(options);
  const clients: TargetClient[] = [];
  const moves: VhostMove[] = [];
  try {
    for (const vhost of places.values()) clients.push(await open(options, vhost));
    const before = beforehand(options);
    let state: MoveState = before ?? {
      target: shownTarget(options.target),
      begunAtMs: options.realClock.now(),
      bound: {},
    };
    const save = (change: Partial<MoveState>): void => options.memory.save((state = { ...state, ...change }));
    const isTopUp = before?.finishedAtMs !== undefined;
    for (const [at, [name, targetVhost]] of [...places].entries()) {
      const [vhost, client] = [options.broker.vhosts.get(name), clients[at]];
      if (vhost === undefined || client === undefined) continue;
      const isBegunBefore = before !== undefined;
      const around = { ...options, client, targetVhost, isBegunBefore, isTopUp, state: () => state, save };
      moves.push(new VhostMove(vhost, around));
    }
    for (const one of moves) await one.declare();
    save({});
    for (const one of moves) await one.messages();
    for (const one of moves) await one.finish();
    save({ finishedAtMs: options.realClock.now(), bound: everythingBound(options.broker) });
    for (const client of clients) await client.close();
    return { ...sumOf(moves), resumed: before !== undefined && !isTopUp };
  } finally {
    for (const one of moves) one.stop();
    for (const client of clients) client.destroy();
  }
}

/** The names of the virtual hosts here and there: `/` goes where the address says. @throws MoveRefused. */
export function placesOf({ broker, target }: Pick<MoveOptions, 'broker' | 'target'>): ReadonlyMap<string, string> {
  const places = new Map([...broker.vhosts.keys()].map((name) => [name, name === '/' ? target.vhost : name]));
  if (target.vhost === '/' || !broker.vhosts.has(target.vhost)) return places;
  const text = `vhost '/' would go to '${target.vhost}', and so would the vhost of that name here`;
  throw new MoveRefused(`${text}; name another one with --to. Nothing was moved`);
}

/** What a move to this target left; one that went elsewhere and has ended counts no more. */
function beforehand({ memory, target }: MoveOptions): MoveState | undefined {
  const before = memory.load();
  const isOver = before?.finishedAtMs !== undefined && before.target !== shownTarget(target);
  return isOver ? undefined : before;
}

function open(options: MoveOptions, vhost: string): Promise<TargetClient> {
  const { realClock: clock, onBlocked, silentMsMax } = options;
  return TargetClient.open(
    { ...options.target, vhost },
    {
      clock,
      ...(onBlocked === undefined ? {} : { onBlocked }),
      ...(silentMsMax === undefined ? {} : { silentMsMax }),
    },
  );
}

function everythingBound({ vhosts }: Broker): Record<string, readonly string[]> {
  return Object.fromEntries([...vhosts.values()].map(({ name, exchanges }) => [name, [...exchanges.keys()]]));
}

function sumOf(moves: readonly VhostMove[]): VhostReport {
  const sum: VhostReport = { exchanges: 0, queues: 0, bindings: 0, messages: 0, marked: 0 };
  for (const { report } of moves) {
    for (const what of Object.keys(sum) as (keyof VhostReport)[]) sum[what] += report[what];
  }
  return sum;
}
