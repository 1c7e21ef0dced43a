export * from './agent.js';
export { UnknownEventError, apply, decide, emptyDeployment, knownEventTypes } from './deployment.js';
export type {
  DeploymentAction,
  DeploymentEvent,
  DeploymentState,
  Intent,
  PlanLetter,
  PlanRecord,
  Result,
  Stage,
} from './deployment.js';
export type {
  AppendAnswer,
  AppendedEvent,
  AppendRequest,
  ClaimAnswer,
  ClaimRequest,
  DeploymentMachine,
  DeploymentModel,
  DeploymentService,
  DeploymentsRpc,
  LetterAnswer,
  LetterRequest,
  LoadAnswer,
  LoadRequest,
  ReleaseAnswer,
  ReleaseRequest,
  RenewAnswer,
  RenewRequest,
  TaskHint,
} from './deployments-rpc.js';
export {
  deploymentsTopic,
  doorbellTopic,
  heartbeatsMailbox,
  machineMailboxName,
  outputMailbox,
  reportTopic,
  resultsMailbox,
  tasksMailbox,
} from './names.js';
