/** What the agent needs of the contracts, without the schema library. */
export { formatJoinLine, parseJoinLine } from './agent-messages.js';
export type {
  AgentNotice,
  HeartbeatMessage,
  JoinAnswer,
  JoinLine,
  JoinRequest,
  ProgressMessage,
  ReceiptLetter,
  ResultMessage,
  StepResult,
} from './agent-messages.js';
export type { Outcome } from './deployment.js';
export { handshakeAddress } from './handshake.js';
export type { CarrierKind } from './handshake.js';
export { limits } from './limits.js';
export type { Limit, LimitName } from './limits.js';
export { agentRoutingKey, agentsExchange, letterKindHeader, outputHeaders } from './names.js';
export type { AgentMessageKind, LetterKind } from './names.js';
export { openLetter, sealLetter, signedBytes } from './plan.js';
export type { CancelPayload, OpenedLetter, PlanFile, PlanHeader, PlanPayload, PlanStep } from './plan.js';
