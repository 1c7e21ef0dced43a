export { instrumented } from './instrumented.js';
export type { InstrumentOptions } from './instrumented.js';
export { observeCalls } from './observe-calls.js';
export { inTraceOf } from './trace-context.js';
