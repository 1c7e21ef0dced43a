import type { RabbitMq } from '@torcello/test-support';
import type { Stack } from '../support/stack.js';
import type { SmallDisk } from './disks.js';
import type { BrokerToStrike } from './faults.js';
import type { World } from './worlds.js';

/** The stack's own broker, or the RabbitMQ that the campaign started for itself. */
export async function brokerOf(
  stack: Stack,
  {
    rabbit,
    disk,
    world,
  }: { readonly rabbit: RabbitMq | undefined; readonly disk: SmallDisk | undefined; readonly world: World },
): Promise<BrokerToStrike> {
  if (rabbit !== undefined) {
    const pid = Number((await rabbit.control('eval', 'list_to_integer(os:getpid()).')).trim());
    const leave = async (): Promise<void> => void (await rabbit.control('stop_app'));
    const restart = async (): Promise<void> => void (await rabbit.control('start_app'));
    return { kind: 'rabbit', disk: undefined, world: undefined, pid: () => pid, leave, restart };
  }
  return {
    kind: 'embedded',
    disk,
    world,
    pid: () => {
      const { broker } = stack.pids();
      if (broker === undefined) throw new TypeError('the stack has no broker of its own');
      return broker;
    },
    leave: () => stack.endBroker(),
    restart: () => stack.restartBroker(),
  };
}
