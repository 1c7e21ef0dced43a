import type { Limit } from '@torcello/contracts';

export type MuranoAgentLimitName = 'queuesLookedAtAtOnceMax' | 'queueRenewedMs' | 'answerWaitMs' | 'answerWaitMsMax';

/** What bounds the API's work with real muranoagents. */
export const muranoAgentLimits: Readonly<Record<MuranoAgentLimitName, Limit>> = {
  queuesLookedAtAtOnceMax: { value: 20, unit: 'queues', bounds: 'queues of muranoagents that are looked at together' },
  queueRenewedMs: {
    value: 3_600_000,
    unit: 'ms',
    bounds: 'how often a queue that nobody reads is declared again, lest it expires',
  },
  answerWaitMs: {
    value: 60_000,
    unit: 'ms',
    bounds: 'the wait for the answer of a muranoagent before its plan is sent again; doubles each time',
  },
  answerWaitMsMax: { value: 3_600_000, unit: 'ms', bounds: 'the longest such wait' },
};
