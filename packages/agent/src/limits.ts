import type { Limit } from '@torcello/contracts/agent';

export type AgentLimitName =
  | 'joinAnswerBytesMax'
  | 'joinTimeoutMs'
  | 'journalRecordBytesMax'
  | 'journalCompactBytes'
  | 'clearedPlansMax'
  | 'attemptsMax'
  | 'terminateGraceMs'
  | 'killWaitMs'
  | 'rebootsMax'
  | 'rebootWaitMs'
  | 'clockErrorMsMax'
  | 'clockPatienceMs'
  | 'journalBytesMax'
  | 'journalReserveBytes'
  | 'progressWaitingMax'
  | 'stopGraceMs';

/** Numbers that bound what an agent does on its own machine; what crosses a process stands in the contracts. */
export const agentLimits: Readonly<Record<AgentLimitName, Limit>> = {
  joinAnswerBytesMax: { value: 65_536, unit: 'bytes', bounds: 'the answer to a join' },
  joinTimeoutMs: { value: 15_000, unit: 'ms', bounds: 'the time a join may take' },
  journalRecordBytesMax: { value: 8_388_608, unit: 'bytes', bounds: 'one record of the journal' },
  journalCompactBytes: {
    value: 4_194_304,
    unit: 'bytes',
    bounds: 'the journal before it is written anew without what is done',
  },
  clearedPlansMax: {
    value: 10_000,
    unit: 'plans',
    bounds: 'plans whose end the agent remembers after everything of them is done',
  },
  attemptsMax: { value: 10, unit: 'attempts', bounds: 'how often an interrupted step is tried' },
  terminateGraceMs: { value: 5_000, unit: 'ms', bounds: 'the time between asking a step to end and killing it' },
  killWaitMs: { value: 30_000, unit: 'ms', bounds: 'what the agent waits for killed processes to be gone' },
  rebootsMax: { value: 10, unit: 'restarts', bounds: 'expected restarts of the machine in one plan' },
  rebootWaitMs: { value: 900_000, unit: 'ms', bounds: 'the wait for a restart that a step has asked for' },
  clockErrorMsMax: {
    value: 5_000,
    unit: 'ms',
    bounds: 'how unsure of the time an agent may be that judges a start-by',
  },
  clockPatienceMs: {
    value: 120_000,
    unit: 'ms',
    bounds: 'how long a plan with a start-by waits for an agent that does not know the time',
  },
  journalBytesMax: { value: 67_108_864, unit: 'bytes', bounds: 'the journal; beyond it new plans are refused' },
  journalReserveBytes: {
    value: 262_144,
    unit: 'bytes',
    bounds: 'what the journal keeps on a full disk, and below its own bound, for the ends of plans',
  },
  progressWaitingMax: { value: 200, unit: 'messages', bounds: 'progress that waits for the broker; more is dropped' },
  stopGraceMs: { value: 3_000, unit: 'ms', bounds: 'what an ending agent waits for messages on their way' },
};
