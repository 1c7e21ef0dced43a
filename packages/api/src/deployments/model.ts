import type { DeploymentMachine, DeploymentService } from '@torcello/contracts';
import type { ServiceObject } from '../environments/services.js';

/** What a deployment works on, as it is kept in its row: fixed when it was accepted. */
export interface StoredModel {
  /** The services as the user wrote them: what the environment keeps. */
  readonly objects: readonly ServiceObject[];
  readonly services: readonly DeploymentService[];
  readonly machines: readonly DeploymentMachine[];
}

export function parseModel(text: string): StoredModel {
  return JSON.parse(text) as StoredModel;
}
