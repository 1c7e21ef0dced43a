import type { Limit } from '@torcello/contracts';

export type ApiLimitName =
  | 'requestBodyBytesMax'
  | 'requestHeadersBytesMax'
  | 'environmentNameCharsMax'
  | 'outboxRowsMax'
  | 'deploymentsUnclaimedMax'
  | 'relayParallelMax'
  | 'hintsPerSweepMax'
  | 'deploymentsCachedMax'
  | 'agentBatchMax'
  | 'outputChunksMax'
  | 'outputTailBytesMax'
  | 'watchersMax'
  | 'watcherBufferBytesMax'
  | 'timersAtOnceMax'
  | 'mailboxesOpenedAtOnceMax'
  | 'reportsPerDeploymentMax'
  | 'inventoryLettersMax'
  | 'mailboxesListedMax'
  | 'messageAttemptsMax'
  | 'deadLettersMax'
  | 'deadLettersPerSenderMax'
  | 'outputWatchersMax'
  | 'piecesDroppedAtOnceMax'
  | 'quarantinedResultsMax';

/** Limits of the API program. */
export const apiLimits: Readonly<Record<ApiLimitName, Limit>> = {
  requestBodyBytesMax: { value: 4_194_304, unit: 'bytes', bounds: 'the body of a request, packages excepted' },
  requestHeadersBytesMax: { value: 16_384, unit: 'bytes', bounds: 'the headers of a request' },
  environmentNameCharsMax: { value: 128, unit: 'characters', bounds: 'the name of an environment' },
  outboxRowsMax: {
    value: 20_000,
    unit: 'letters',
    bounds: 'letters that wait for the broker before deployments are refused',
  },
  deploymentsUnclaimedMax: {
    value: 20_000,
    unit: 'deployments',
    bounds: 'deployments that nobody has worked on yet, before more are refused',
  },
  relayParallelMax: { value: 100, unit: 'letters', bounds: 'letters handed to the broker and not yet confirmed' },
  hintsPerSweepMax: { value: 200, unit: 'hints', bounds: 'hints of one sweep' },
  deploymentsCachedMax: { value: 32, unit: 'deployments', bounds: 'folded histories kept in memory' },
  agentBatchMax: { value: 200, unit: 'messages', bounds: 'messages of agents in one transaction' },
  outputChunksMax: { value: 200_000, unit: 'chunks', bounds: 'pieces of output of one step' },
  outputTailBytesMax: { value: 1_048_576, unit: 'bytes', bounds: 'the output of one step in one answer' },
  watchersMax: { value: 1_000, unit: 'streams', bounds: 'event streams open at once' },
  watcherBufferBytesMax: { value: 1_048_576, unit: 'bytes', bounds: 'events that wait for one slow watcher' },
  timersAtOnceMax: { value: 500, unit: 'timers', bounds: 'timers carried out in one transaction' },
  mailboxesOpenedAtOnceMax: { value: 50, unit: 'mailboxes', bounds: 'mailboxes being declared at the same time' },
  reportsPerDeploymentMax: { value: 10_000, unit: 'reports', bounds: 'reports kept of one deployment' },
  inventoryLettersMax: {
    value: 1_000,
    unit: 'letters',
    bounds: 'letters in the event that tells the end of a mailbox',
  },
  mailboxesListedMax: { value: 1_000, unit: 'mailboxes', bounds: 'mailboxes in one answer' },
  messageAttemptsMax: { value: 5, unit: 'attempts', bounds: 'attempts at a message before it becomes a dead letter' },
  deadLettersMax: { value: 10_000, unit: 'messages', bounds: 'dead letters kept; beyond it the oldest go' },
  deadLettersPerSenderMax: { value: 1_000, unit: 'messages', bounds: 'dead letters kept of one machine' },
  outputWatchersMax: { value: 200, unit: 'streams', bounds: 'followers of output at once' },
  piecesDroppedAtOnceMax: {
    value: 500,
    unit: 'chunks',
    bounds: 'pieces of output past their retention dropped in one transaction',
  },
  quarantinedResultsMax: {
    value: 10_000,
    unit: 'results',
    bounds: 'results of unknown plans kept aside after a restore',
  },
};
