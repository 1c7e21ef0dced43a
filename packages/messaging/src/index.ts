export { MessagingError, errorCodes, isMessagingError } from './errors.js';
export type { ErrorCode, Radius } from './errors.js';
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
  Topology,
  TopologyOptions,
} from './driver.js';
export type { TransportHost, TransportUrl } from './transport-url.js';
