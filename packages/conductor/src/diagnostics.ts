import { channel } from 'node:diagnostics_channel';

/** What has just been done, or is about to be: before and after every effect. */
export type ConductorPoint =
  | 'reading'
  | 'claimed'
  | 'appending'
  | 'appended'
  | 'posting'
  | 'posted'
  | 'stored'
  | 'cancelPosting'
  | 'cancelPosted'
  | 'cancelStored'
  | 'finishing'
  | 'finished'
  | 'released';

/** Message of the diagnostics channel `torcello:conductor`. */
export interface ConductorDiagnostic {
  readonly point: ConductorPoint;
  /** Empty where it is not known yet. */
  readonly deploymentId: string;
  readonly planId?: string;
}

const conductorChannel = channel('torcello:conductor');

export function announce(point: ConductorPoint, deploymentId: string, planId?: string): void {
  if (!conductorChannel.hasSubscribers) return;
  const diagnostic: ConductorDiagnostic = { point, deploymentId, ...(planId === undefined ? {} : { planId }) };
  conductorChannel.publish(diagnostic);
}
