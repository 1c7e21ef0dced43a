/** The reply codes of AMQP 0-9-1 (§1.2 "constants") with the radius RabbitMQ gives them. */
export const replyCodes = {
  REPLY_SUCCESS: { code: 200, radius: 'none' },
  CONTENT_TOO_LARGE: { code: 311, radius: 'channel' },
  NO_ROUTE: { code: 312, radius: 'message' },
  NO_CONSUMERS: { code: 313, radius: 'message' },
  CONNECTION_FORCED: { code: 320, radius: 'connection' },
  INVALID_PATH: { code: 402, radius: 'connection' },
  ACCESS_REFUSED: { code: 403, radius: 'channel' },
  NOT_FOUND: { code: 404, radius: 'channel' },
  RESOURCE_LOCKED: { code: 405, radius: 'channel' },
  PRECONDITION_FAILED: { code: 406, radius: 'channel' },
  FRAME_ERROR: { code: 501, radius: 'connection' },
  SYNTAX_ERROR: { code: 502, radius: 'connection' },
  COMMAND_INVALID: { code: 503, radius: 'connection' },
  CHANNEL_ERROR: { code: 504, radius: 'connection' },
  UNEXPECTED_FRAME: { code: 505, radius: 'connection' },
  RESOURCE_ERROR: { code: 506, radius: 'connection' },
  NOT_ALLOWED: { code: 530, radius: 'connection' },
  NOT_IMPLEMENTED: { code: 540, radius: 'connection' },
  INTERNAL_ERROR: { code: 541, radius: 'connection' },
} as const;

/** The name of a reply code, for example `NOT_FOUND`. */
export type ReplyName = keyof typeof replyCodes;

const names: ReadonlyMap<number, ReplyName> = new Map(
  Object.entries(replyCodes).map(([name, { code }]) => [code, name as ReplyName]),
);

/** The name of a reply code from the wire; undefined when the protocol does not know it. */
export function replyName(code: number): ReplyName | undefined {
  return names.get(code);
}
