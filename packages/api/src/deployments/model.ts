import type { DeploymentMachine, DeploymentService } from '@torcello/contracts';
import type { ServiceObject } from '../environments/services.js';

/** What a deployment works on, as it is kept in its row: fixed when it was accepted. */
export interface StoredModel {
  /** The services as the user wrote them: what the environment keeps. */
  readonly objects: readonly ServiceObject[];
  readonly services: readonly DeploymentService[];
  readonly machines: readonly DeploymentMachine[];
  /** How long a plan may wait for its machine. */
  readonly deliverWithinMs?: number;
  readonly startByMs?: number;
  /** Open plans of the deployments that this one supersedes, by machine id. */
  readonly replaces?: Readonly<Record<string, readonly string[]>>;
  /** Machines of a destroy that were not there to be asked, by name, with the reason. */
  readonly leftAlone?: readonly string[];
}

export function parseModel(text: string): StoredModel {
  return JSON.parse(text) as StoredModel;
}
