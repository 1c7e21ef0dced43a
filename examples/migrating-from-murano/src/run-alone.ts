import { pathToFileURL } from 'node:url';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { connect, memoryDriver } from '@torcello/messaging';
import { muranoTtlMs } from './pattern.js';
import type { Pattern } from './pattern.js';

/** Runs a pattern when its file is the one that was started: one plan there, one answer back. */
export async function runAlone(module: ImportMeta, pattern: Pattern): Promise<void> {
  const [, started = '', url = 'memory:'] = process.argv;
  if (module.url !== pathToFileURL(started).href) return;
  const drivers = [memoryDriver(), amqp091Driver()];
  const [control, machine] = [await connect(url, { drivers }), await connect(url, { drivers })];
  let told: (text: string) => void = () => undefined;
  const answered = new Promise<string>((resolve) => (told = resolve));
  const conductor = await pattern.conductor(control, ({ text }) => told(text), muranoTtlMs);
  const agent = await pattern.agent(machine, (plan) => Promise.resolve(`done: ${plan.text}`));
  await conductor.send({ id: 'plan-1', text: 'install the web server' });
  process.stdout.write(`${pattern.name}: ${await answered}\n`);
  await agent.stop();
  await conductor.stop();
  await machine.close();
  await control.close();
}
