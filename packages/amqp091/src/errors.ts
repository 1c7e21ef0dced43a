import { replyCodes, type ReplyName } from './reply-codes.js';

/** What the peer did wrong, in the words that `connection.close` and `channel.close` want. */
export class ProtocolError extends Error {
  readonly code = 'PROTOCOL_ERROR';
  readonly replyName: ReplyName;
  readonly replyCode: number;
  /** Whether the channel or the whole connection must end. */
  readonly radius: 'channel' | 'connection';
  /** The method that failed; both numbers are 0 when no method was known yet. */
  readonly classId: number;
  readonly methodId: number;

  constructor(replyName: ReplyName, text: string, at?: { readonly classId: number; readonly methodId: number }) {
    super(`${replyName} - ${text}`);
    this.name = 'ProtocolError';
    this.replyName = replyName;
    this.replyCode = replyCodes[replyName].code;
    this.radius = replyCodes[replyName].radius === 'connection' ? 'connection' : 'channel';
    this.classId = at?.classId ?? 0;
    this.methodId = at?.methodId ?? 0;
  }
}

/** Why a value cannot be put on the wire. */
export type EncodeErrorCode =
  | 'STRING_TOO_LONG'
  | 'OUT_OF_RANGE'
  | 'TABLE_TOO_DEEP'
  | 'FRAME_TOO_LARGE'
  | 'UNSUPPORTED_VALUE';

/** What our own side tried to send and the protocol cannot carry. Nothing of it was written. */
export class EncodeError extends RangeError {
  readonly code: EncodeErrorCode;

  constructor(code: EncodeErrorCode, text: string) {
    super(text);
    this.name = 'EncodeError';
    this.code = code;
  }
}
