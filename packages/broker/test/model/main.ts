import process from 'node:process';
import { inspect, parseArgs } from 'node:util';
import { runModel } from './run-model.js';

/** `npm run broker:model -- --seed S --commands N`: its last line is `commands N differences 0 seed S`. */
const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, commands: { type: 'string', default: '1000000' } },
});
const [seed, commands] = [Number(values.seed), Number(values.commands)];
const report = (line: string): void => void process.stdout.write(`${line}\n`);
try {
  report(`commands ${await runModel({ seed, commands })} differences 0 seed ${seed}`);
} catch (error) {
  report(inspect(error, { depth: 3 }));
  report(`commands ${commands} differences 1 seed ${seed}`);
  process.exitCode = 1;
}
