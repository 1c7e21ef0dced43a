/** How every command of `torcello` ends. Scripts may rely on these numbers. */
export const exitCodes = {
  ok: 0,
  usage: 1,
  someFailed: 2,
  allFailed: 3,
  unreachable: 4,
  cancelled: 5,
  watchTimedOut: 6,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** What each number means, for the help and the README. */
export const exitCodeMeanings: Readonly<Record<ExitCode, string>> = {
  0: 'done',
  1: 'wrong usage or refused input; nothing was changed',
  2: 'failed on some machines',
  3: 'failed on all machines',
  4: 'the API cannot be reached, or the plans expired',
  5: 'the deployment was cancelled or superseded',
  6: 'the watch timed out; the deployment goes on',
  130: 'the watch was interrupted; the deployment goes on',
};
