export { methodTable } from './methods.js';
export { methodSpec, methodSpecByIds, methodSpecs } from './method-types.js';
export type {
  ContentMethod,
  ContentMethodName,
  FieldSpec,
  FieldType,
  Method,
  MethodName,
  MethodNamed,
  MethodSpec,
  OutgoingContentMethod,
  OutgoingMethod,
  OutgoingNamed,
} from './method-types.js';
export { fieldTablesEqual, fieldValuesEqual, Typed, typed, untyped } from './field-values.js';
export type { DecimalNumber, FieldTable, FieldTag, FieldValue } from './field-values.js';
export { decodeTable, encodeTable } from './field-table.js';
export type { DecodeTableOptions } from './field-table.js';
export { decodeProperties, encodeProperties } from './properties.js';
export type { BasicProperties } from './properties.js';
export { encodeContent, encodeMethod, FrameWriter } from './frame-writer.js';
export type { OutgoingContent } from './frame-writer.js';
export { FrameReader } from './frame-reader.js';
export type {
  BodyFrame,
  Frame,
  FrameReaderOptions,
  HeaderFrame,
  HeartbeatFrame,
  MethodFrame,
  ProtocolHeaderFrame,
} from './frame-reader.js';
export { ContentAssembler } from './content-assembler.js';
export type { Command, ContentAssemblerOptions, ContentCommand, PlainCommand } from './content-assembler.js';
export { EncodeError, ProtocolError } from './errors.js';
export type { EncodeErrorCode } from './errors.js';
export { replyCodes, replyName } from './reply-codes.js';
export type { ReplyName } from './reply-codes.js';
export {
  decodeLimits,
  frameOverheadBytes,
  frameSizeBytesDefault,
  frameSizeBytesMin,
  headersBytesMax,
  messageSizeBytesDefault,
} from './limits.js';
export type { DecodeLimits } from './limits.js';
