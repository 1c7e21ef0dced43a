import { type DeploymentEvent, UnknownEventError } from '@torcello/contracts';

/**
 * The events that this conductor can act on. Contracts may know more already: folding an event is not the same as
 * carrying out what it asks for, so only these are named in a claim.
 */
export const carriedOutEvents: readonly DeploymentEvent['type'][] = [
  'accepted',
  'planScheduled',
  'planStored',
  'planEnded',
  'leftAlone',
  'cancelRequested',
  'cancelStored',
  'supersedeRequested',
  'resumed',
  'rejected',
  'finished',
];

/** @throws UnknownEventError for the first event that this conductor must leave to another. */
export function checkCarriedOut(events: readonly DeploymentEvent[]): void {
  const unknown = events.find(({ type }) => !carriedOutEvents.includes(type));
  if (unknown !== undefined) throw new UnknownEventError(unknown.type);
}
