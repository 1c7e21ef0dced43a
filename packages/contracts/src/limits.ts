/** A number that bounds something, with its unit. The table in `docs/limits.md` equals this one. */
export interface Limit {
  readonly value: number;
  readonly unit: string;
  readonly bounds: string;
}

export type LimitName =
  | 'planBytesMax'
  | 'planStepsMax'
  | 'packageBytesMax'
  | 'packageEntriesMax'
  | 'packageUnpackedBytesMax'
  | 'appendBytesMax'
  | 'loadEventsMax'
  | 'outputChunkBytesMax'
  | 'outputRunBytesMax'
  | 'agentMessageBytesMax'
  | 'machinesPerRequestMax'
  | 'stepTimeoutMsMax'
  | 'mailboxLifetimeMsMin'
  | 'mailboxLifetimeMsMax';

/** Limits of what crosses a process. */
export const limits: Readonly<Record<LimitName, Limit>> = {
  planBytesMax: { value: 1_048_576, unit: 'bytes', bounds: 'the signed letter of one plan' },
  planStepsMax: { value: 1000, unit: 'steps', bounds: 'the steps of one plan' },
  packageBytesMax: { value: 5_242_880, unit: 'bytes', bounds: 'a package archive' },
  packageEntriesMax: { value: 10_000, unit: 'entries', bounds: 'files in a package archive' },
  packageUnpackedBytesMax: { value: 52_428_800, unit: 'bytes', bounds: 'all files of a package together' },
  appendBytesMax: { value: 1_048_576, unit: 'bytes', bounds: 'letters in one append to a history' },
  loadEventsMax: { value: 500, unit: 'events', bounds: 'one page of a history' },
  outputChunkBytesMax: { value: 65_536, unit: 'bytes', bounds: 'one output message of an agent' },
  outputRunBytesMax: { value: 104_857_600, unit: 'bytes', bounds: 'the output of one step' },
  agentMessageBytesMax: { value: 1_048_576, unit: 'bytes', bounds: 'one message of an agent' },
  machinesPerRequestMax: { value: 5_000, unit: 'machines', bounds: 'machines added at once' },
  stepTimeoutMsMax: { value: 86_400_000, unit: 'ms', bounds: 'the time one step may take' },
  mailboxLifetimeMsMin: { value: 1_000, unit: 'ms', bounds: 'the shortest lifetime of a mailbox without contact' },
  mailboxLifetimeMsMax: { value: 315_360_000_000, unit: 'ms', bounds: 'the longest (ten years)' },
};
