import fc from 'fast-check';
import { commandArbitraries } from './commands.js';
import type { Counter } from './commands.js';
import { QueueModel } from './queue-model.js';
import type { QueueShape } from './queue-model.js';
import { World } from './world.js';

const commandsPerRun = 60;

const anyShapes: fc.Arbitrary<QueueShape> = fc.record({
  messageTtlMs: fc.constantFrom(undefined, undefined, 40, 0),
  expiresMs: fc.constantFrom(undefined, undefined, 1_000),
  lengthMax: fc.constantFrom(undefined, undefined, 3, 0),
  isRefusing: fc.boolean(),
  priorityMax: fc.constantFrom(0, 0, 3),
  isQuorum: fc.boolean(),
  deliveryLimit: fc.constantFrom(1, 3),
  hasDeadLetters: fc.boolean(),
});
/** A quorum queue has no priorities. */
const shapes = anyShapes.map((shape) => (shape.isQuorum ? { ...shape, priorityMax: 0 } : shape));

/**
 * Runs the queue beside its model until so many commands are done; answers how many that were. A failure throws, with
 * the shortest commands that show it and the seed that replays it.
 */
export async function runModel(options: { readonly seed: number; readonly commands: number }): Promise<number> {
  const counter: Counter = { commands: 0, nextId: 1 };
  const steps = fc.commands(commandArbitraries(counter), { maxCommands: commandsPerRun, size: 'max' });
  const memory = fc.constantFrom(0, 2_000, 1_000_000);
  const property = fc.asyncProperty(shapes, memory, steps, async (shape, memoryBytes, commands) => {
    const setup = async () => {
      const real = new World(shape, memoryBytes);
      await real.start();
      const model = new QueueModel(shape);
      return { model, real };
    };
    const { model, real } = await setup();
    await fc.asyncModelRun(() => ({ model, real }), commands);
    await real.broker.stop();
  });
  for (let round = 0; counter.commands < options.commands; round++) {
    await fc.assert(property, { seed: options.seed + round, numRuns: 200, endOnFailure: false });
  }
  return counter.commands;
}
