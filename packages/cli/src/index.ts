export { runCommandLine } from './run-command-line.js';
export type { CliContext, SignalSource, StopSignal, TextSink } from './context.js';
export { exitCodes } from './exit-codes.js';
export type { ExitCode } from './exit-codes.js';
