import test, { after } from 'node:test';
import { protonMissing, startProtonBroker } from '@torcello/test-support';
import { meetOslo, osloMissing, type Meeting } from './support/oslo-interop.js';

const missing = osloMissing() ?? protonMissing('python');
if (missing === undefined) {
  for (const meeting of await overProton()) meetOslo(meeting, test);
} else test('interoperability with oslo.messaging over AMQP 1.0', { skip: missing }, () => undefined);

/** The mode that both find out by themselves, and the other one by name. */
async function overProton(): Promise<readonly Meeting[]> {
  const broker = await startProtonBroker('python');
  after(() => broker.stop());
  const pythonUrl = `amqp://127.0.0.1:${broker.port}/`;
  return [
    { name: 'Proton, dynamic addressing', url: broker.url, pythonUrl },
    {
      name: 'Proton, routable addressing with a virtual host',
      url: `${broker.url}/tenant?addressing_mode=routable`,
      pythonUrl: `${pythonUrl}tenant?addressing_mode=routable`,
    },
  ];
}
