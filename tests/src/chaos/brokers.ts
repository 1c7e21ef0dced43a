import path from 'node:path';
import { startRabbitMq, temporaryFolder } from '@torcello/test-support';
import type { RabbitMq } from '@torcello/test-support';
import type { Stack } from '../support/stack.js';
import { mountSmallDisk } from './disks.js';
import type { SmallDisk } from './disks.js';
import type { BrokerToStrike } from './faults.js';
import type { World } from './worlds.js';

/** A RabbitMQ of the campaign's own, and the disk that is its alone. */
export interface RabbitToStrike {
  readonly node: RabbitMq;
  readonly disk: SmallDisk | undefined;
}

/** Below so much free space RabbitMQ takes no more publishes. */
const diskAlarmBytes = 50_000_000;
const rabbitsDisk = '768m';
/** RabbitMQ keeps its newest messages in a log of half a gigabyte, unless it is told otherwise. */
const logBytes = 64_000_000;

/** Starts RabbitMQ on a small disk of its own; `end` takes both away. */
export async function startRabbit(): Promise<RabbitToStrike & { readonly end: () => Promise<void> }> {
  const folder = temporaryFolder('chaos-rabbit');
  const data = path.join(folder.path, 'data');
  const disk = mountSmallDisk(data, rabbitsDisk);
  const settings = [`disk_free_limit.absolute = ${diskAlarmBytes}`, `raft.wal_max_size_bytes = ${logBytes}`];
  const node = await startRabbitMq({ own: true, data, settings });
  const end = async (): Promise<void> => {
    await node.stop();
    disk?.unmount();
    folder.remove();
  };
  return { node, disk, end };
}

/** The embedded broker's: below so much free space it takes no more publishes. */
const watermarkBytes = 536_870_912;

/** The stack's own broker, or the RabbitMQ that the campaign started for itself. */
export async function brokerOf(
  stack: Stack,
  {
    rabbit,
    disk,
    world,
  }: { readonly rabbit: RabbitToStrike | undefined; readonly disk: SmallDisk | undefined; readonly world: World },
): Promise<BrokerToStrike> {
  if (rabbit !== undefined) return rabbitToStrike(rabbit);
  return {
    kind: 'embedded',
    disk,
    nearlyFullBytes: watermarkBytes / 2,
    world,
    pid: () => {
      const { broker } = stack.pids();
      if (broker === undefined) throw new TypeError('the stack has no broker of its own');
      return broker;
    },
    kill: () => stack.killBroker(),
    leave: () => stack.endBroker(),
    restart: () => stack.restartBroker(),
  };
}

async function rabbitToStrike({ node, disk }: RabbitToStrike): Promise<BrokerToStrike> {
  const askPid = async (): Promise<number> =>
    Number((await node.control('eval', 'list_to_integer(os:getpid()).')).trim());
  let [pid, hasLeft] = [await askPid(), false];
  return {
    kind: 'rabbit',
    disk,
    nearlyFullBytes: diskAlarmBytes / 2,
    world: undefined,
    pid: () => pid,
    kill: () => node.kill(),
    leave: async () => {
      await node.control('stop_app');
      hasLeft = true;
    },
    restart: async () => {
      if (hasLeft) await node.control('start_app');
      else {
        await node.restart();
        pid = await askPid();
      }
      hasLeft = false;
    },
  };
}
