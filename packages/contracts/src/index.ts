export * from './agent.js';
export { UnknownEventError, apply, decide, emptyDeployment, knownEventTypes } from './deployment.js';
export type {
  DeploymentAction,
  DeploymentEvent,
  DeploymentState,
  Intent,
  PackageFix,
  PlanLetter,
  PlanRecord,
  Result,
  ResumePoint,
  Stage,
} from './deployment.js';
export type {
  AppendAnswer,
  AppendedEvent,
  AppendRequest,
  AttemptAnswer,
  AttemptRequest,
  ClaimAnswer,
  ClaimRequest,
  DeploymentMachine,
  DeploymentModel,
  DeploymentService,
  DeploymentsRpc,
  HintMessage,
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
export {
  isMuranoQueue,
  machineKindOf,
  muranoAnswerKey,
  muranoAnswersMailbox,
  muranoPlanId,
  muranoQueueArguments,
  muranoQueueName,
  nextStamp,
  readMuranoPlanId,
} from './murano.js';
export type { MachineKind } from './murano.js';
export { doorbellMethod, reportEventType } from './conductor-messages.js';
export type { DoorbellNews, Report } from './conductor-messages.js';
export { applicationSchema, stageName } from './application.js';
export type {
  ApplicationDefinition,
  FileDefinition,
  GateDefinition,
  RoleDefinition,
  StageDefinition,
  StepDefinition,
} from './application.js';
export { checkApplication, namedFiles, schemaFlaws } from './check-application.js';
export type { Flaw } from './check-application.js';
export { parseDuration } from './duration.js';
export { headersText } from './headers-text.js';
export { manifestSchema, packageFormat } from './manifest.js';
export type { PackageManifest } from './manifest.js';
export { formatStageAddress, parseStageAddress, soakStepName } from './stage-address.js';
export type { StageAddress } from './stage-address.js';
export {
  backupLineBytesMax,
  backupMadeAtHeader,
  backupNames,
  backupSmallFileBytesMax,
  formatBackupLine,
  parseBackupLine,
} from './backup-file.js';
export type { BackupEnd, BackupEntry, BackupHead, BackupLine, BackupName } from './backup-file.js';
