import type { Limit } from '@torcello/contracts';

export type ConductorLimitName =
  | 'deploymentsMax'
  | 'hintBytesMax'
  | 'putsInFlightMax'
  | 'expressionBytesMax'
  | 'expressionNodesMax'
  | 'expressionDepthMax'
  | 'expressionIterationsMax'
  | 'templateBytesMax'
  | 'templateMemoryMax'
  | 'templateRenderMsMax'
  | 'packageCacheBytesMax'
  | 'latePlanKeptMs'
  | 'planExpiryMsMax'
  | 'unroutablePatienceMs'
  | 'rejectionReasonCharsMax';

/** What bounds a conductor. The table in `docs/limits.md` equals this one. */
export const conductorLimits: Readonly<Record<ConductorLimitName, Limit>> = {
  deploymentsMax: { value: 20, unit: 'deployments', bounds: 'deployments one conductor works on at once (option)' },
  hintBytesMax: { value: 65_536, unit: 'bytes', bounds: 'one hint; a longer one is not read' },
  putsInFlightMax: { value: 64, unit: 'letters', bounds: 'unconfirmed letters of one deployment' },
  expressionBytesMax: { value: 4096, unit: 'bytes', bounds: 'one expression in a package' },
  expressionNodesMax: { value: 200, unit: 'nodes', bounds: 'the syntax tree of one expression' },
  expressionDepthMax: { value: 24, unit: 'levels', bounds: 'the nesting of one expression' },
  expressionIterationsMax: { value: 100_000, unit: 'iterations', bounds: 'nested loops of one expression' },
  templateBytesMax: { value: 1_048_576, unit: 'bytes', bounds: 'one template file' },
  templateMemoryMax: { value: 10_000_000, unit: 'units', bounds: 'values one template makes while it is rendered' },
  templateRenderMsMax: { value: 1000, unit: 'ms', bounds: 'rendering one template' },
  packageCacheBytesMax: { value: 134_217_728, unit: 'bytes', bounds: 'unpacked packages a conductor keeps' },
  latePlanKeptMs: {
    value: 2_592_000_000,
    unit: 'ms',
    bounds: 'how long a plan that may not start any more waits for the agent that refuses it',
  },
  planExpiryMsMax: {
    value: 4_294_967_295,
    unit: 'ms',
    bounds: 'expiry of a plan in its mailbox (RabbitMQ takes no more)',
  },
  unroutablePatienceMs: { value: 30_000, unit: 'ms', bounds: 'waiting for a mailbox that is not there yet' },
  rejectionReasonCharsMax: { value: 2000, unit: 'characters', bounds: 'the reason of a rejected deployment' },
};
