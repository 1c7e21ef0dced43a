import { doorbellMethod, doorbellTopic } from '@torcello/contracts';
import { type Transport, rpcServer } from '@torcello/messaging';
import type { Service } from '@torcello/platform';

/** Listens to the API's doorbell. It only shortens waits: renewals bring the same news. */
export function doorbell(transport: Transport, holder: string, ring: (deploymentId: string) => void): Service {
  const { exchange, topic, version } = doorbellTopic;
  const news = ({ deploymentId }: Readonly<Record<string, unknown>>): void => {
    if (typeof deploymentId === 'string') ring(deploymentId);
  };
  const endpoint = { target: { version }, methods: { [doorbellMethod]: news } };
  return rpcServer(transport, { exchange, topic, server: holder }, [endpoint]);
}
