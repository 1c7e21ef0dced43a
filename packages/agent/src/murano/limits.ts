import type { Limit } from '@torcello/contracts/agent';

export type MuranoLimitName =
  | 'planSeconds'
  | 'captureBytesMax'
  | 'answerBytesMax'
  | 'downloadBytesMax'
  | 'downloadIdleSeconds'
  | 'drainSeconds'
  | 'planBytesMax'
  | 'plansWaitingMax'
  | 'attemptsMax'
  | 'answerKeptMs';

/** What bounds a plan of Murano's formats; the real agent bounds nothing. */
export const muranoLimits: Readonly<Record<MuranoLimitName, Limit>> = {
  planSeconds: { value: 14_400, unit: 's', bounds: 'the time a plan may run; agent.conf: [torcello] plan_seconds' },
  captureBytesMax: { value: 16_777_216, unit: 'bytes', bounds: 'each output that a script call captures' },
  answerBytesMax: { value: 16_777_216, unit: 'bytes', bounds: 'the answer to a plan' },
  downloadBytesMax: {
    value: 1_073_741_824,
    unit: 'bytes',
    bounds: 'all downloads of a plan together; agent.conf: [torcello] download_bytes_max',
  },
  downloadIdleSeconds: { value: 60, unit: 's', bounds: 'the silence of a server that is downloaded from' },
  drainSeconds: { value: 5, unit: 's', bounds: 'the wait for output that a script left to a process behind it' },
  planBytesMax: { value: 134_217_728, unit: 'bytes', bounds: 'one plan' },
  plansWaitingMax: { value: 1_000, unit: 'plans', bounds: 'plans on the disk; more stay with the broker' },
  attemptsMax: { value: 3, unit: 'attempts', bounds: 'how often an interrupted plan without Stamp is begun' },
  answerKeptMs: { value: 86_400_000, unit: 'ms', bounds: 'how long an answer is kept that no queue takes' },
};
