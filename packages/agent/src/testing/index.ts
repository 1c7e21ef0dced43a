export { PowerLost, SimulatedDisk } from './simulated-disk.js';
export { noStepGroups } from '../step-groups.js';
export type { AttemptFiles, CommandToRun, Evidence, StartedCommand } from '../attempt.js';
export type { StepTree, TreeEnd, TreeWorld } from '../end-tree.js';
export type { OutputFile, StepMachine } from '../step-machine.js';
