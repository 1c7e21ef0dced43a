export { MessagingError, errorCodes, isMessagingError } from './errors.js';
export type { ErrorCode, Radius } from './errors.js';
export type { AbortSignalLike } from './abort.js';
export { limits } from './limits.js';
export type {
  Capabilities,
  ConnectOptions,
  Consumer,
  Delivery,
  Destination,
  Driver,
  DriverConnection,
  IncomingMessage,
  MessageProperties,
  OutgoingMessage,
  Source,
  TargetAddress,
  Topology,
  TopologyOptions,
} from './driver.js';
export { describeTransportUrl, parseTransportUrl } from './transport-url.js';
export type { TransportHost, TransportUrl } from './transport-url.js';
export { connect } from './transport/connect.js';
export { lazyDriver } from './transport/lazy-driver.js';
export type {
  ConsumeOptions,
  EnsureOptions,
  OperationOptions,
  PublishOptions,
  Subscription,
  Transport,
  TransportOptions,
  TransportState,
} from './transport/transport.js';
export type { ReplyDesk, ReplyWaiter } from './transport/reply-desk.js';
export type { Reply } from './wire/reply.js';
export { memoryDriver } from './memory/driver.js';
export type { Target } from './rpc/target.js';
export { rpcClient } from './rpc/client.js';
export type { Arguments, CallOptions, CastOptions, RpcClient, RpcClientOptions } from './rpc/client.js';
export { rpcServer } from './rpc/server.js';
export type { RpcServerOptions } from './rpc/server.js';
export type { Endpoint, IncomingCall, Method } from './rpc/endpoint.js';
export type { CallHandle } from './rpc/call-handle.js';
export { currentTraceparent, withTraceparent } from './rpc/call-scope.js';
export { diagnosticsChannels } from './diagnostics.js';
export type { CallEvent, NotifiedEvent, ServedEvent, StateEvent } from './diagnostics.js';
export { RemoteFailure } from './rpc/failure.js';
export type { RemoteErrorDetails } from './rpc/failure.js';
export { isVersionCompatible } from './rpc/version.js';
export { defineContract } from './contract/contract.js';
export type { Contract, ContractNotification, ContractParts, MethodContract } from './contract/contract.js';
export { contractClient } from './contract/contract-client.js';
export type { ContractClient, ContractMethod } from './contract/contract-client.js';
export { contractServer } from './contract/contract-server.js';
export type { ContractCall, ContractHandlers, ContractServerOptions } from './contract/contract-server.js';
export { contractNotifier, contractListenerEndpoint } from './contract/contract-notifications.js';
export type { ContractNotificationHandlers, ContractNotifier } from './contract/contract-notifications.js';
export { isContractError } from './contract/contract-error.js';
export { describeContract } from './contract/describe.js';
export type { ContractDescription, JsonSchema } from './contract/describe.js';
export { diffContracts } from './contract/diff.js';
export type { ContractChange } from './contract/diff.js';
export { wrapSchema } from './contract/standard-schema.js';
export type { InputOf, OutputOf, SchemaIssue, SchemaResult, StandardSchema } from './contract/standard-schema.js';
export { mailboxes } from './mailbox/mailboxes.js';
export type { Mailboxes, MailboxesOptions, MailboxFeature, MailboxOptions } from './mailbox/mailboxes.js';
export type {
  Letter,
  OutgoingLetter,
  Receipt,
  ReportedOutcome,
  ReportedStage,
  SupersededLetter,
} from './mailbox/letter.js';
export { hasReached, letterStages, stageOf } from './mailbox/letter-stage.js';
export type { LetterEnd, LetterEnding, LetterStage, ReachedStages } from './mailbox/letter-stage.js';
export type { ReadOptions } from './mailbox/reading.js';
export type { ReportingOptions } from './mailbox/reports.js';
export type { ClaimAttempt } from './mailbox/claims.js';
export type { LetterNotice } from './mailbox/receipt-wire.js';
export type { ExplainedState, Explanation } from './mailbox/explain.js';
export type { InventoryLetter, MailboxEnd } from './mailbox/closing.js';
export { memoryLedger } from './mailbox/ledger-book.js';
export { fileLedger } from './mailbox/file-ledger.js';
export type { FileLedger } from './mailbox/file-ledger.js';
export { endDueAtMs } from './mailbox/ledger.js';
export type {
  ClaimToken,
  LetterCopy,
  LetterOutcome,
  LetterRecord,
  MailboxClaim,
  MailboxLedger,
  MailboxRecord,
} from './mailbox/ledger.js';
export { missingForMailboxes } from './handshake/address.js';
export type { HandshakeAddress, UpwardQueue } from './handshake/address.js';
export { memoryLetterStore } from './handshake/letter-store.js';
export type { KeptLetter, LetterStore, NewLetter } from './handshake/letter-store.js';
export { PostOffice } from './handshake/post-office.js';
export type { PostOfficeOptions } from './handshake/post-office.js';
export { postalTransport } from './handshake/postal-transport.js';
export type { PostalOptions } from './handshake/postal-transport.js';
export { notifier } from './notify/notifier.js';
export type { Notifier, NotifierOptions, Notify } from './notify/notifier.js';
export { notificationListener } from './notify/listener.js';
export type {
  NotificationEndpoint,
  NotificationHandler,
  NotificationListenerOptions,
  NotificationOutcome,
} from './notify/listener.js';
export { notificationBatchListener } from './notify/batch-listener.js';
export type { BatchEndpoint, BatchHandler, BatchListenerOptions } from './notify/batch-listener.js';
export { routedNotifier } from './notify/routing.js';
export type { NotificationRoutes, NotificationRule } from './notify/routing.js';
export { priorities } from './notify/notification.js';
export type { Notification, NotificationFormat, Priority } from './notify/notification.js';
export type { NotificationFilter, Pattern } from './notify/filter.js';
