/** Method of the fanout cast on `doorbellTopic`; its arguments are a `DoorbellNews`. */
export const doorbellMethod = 'news';

/** Somebody else than the holder has written to the history of a deployment. */
export interface DoorbellNews {
  readonly deploymentId: string;
  /** Length of the history now. */
  readonly length: number;
}

/** Event type of the notifications on `reportTopic`; their payload is a `Report`. */
export const reportEventType = 'torcello.report';

/** A line of progress for people. It never decides anything, and may be lost. */
export interface Report {
  readonly deploymentId: string;
  readonly level: 'info' | 'warn' | 'error';
  readonly text: string;
  /** Milliseconds since 1970 by the conductor's clock. */
  readonly atMs: number;
}
