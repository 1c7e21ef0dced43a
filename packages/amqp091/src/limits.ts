/** What a decoder accepts from a peer before it gives a protocol error. */
export interface DecodeLimits {
  /** How deep tables and arrays may be nested; the outermost table counts as 1. */
  readonly tableDepthMax: number;
  /** How many values one table may hold, those of nested tables and arrays included. */
  readonly tableEntriesMax: number;
  /** The encoded size of one outermost table. */
  readonly tableBytesMax: number;
}

export const decodeLimits: DecodeLimits = { tableDepthMax: 8, tableEntriesMax: 256, tableBytesMax: 32 * 1024 };
/** The encoded headers of one message: what fits a frame of the default size, with room for what a broker adds. */
export const headersBytesMax: number = 96 * 1024;
/** What is accepted in the headers of a message. */
export const headerLimits: DecodeLimits = { ...decodeLimits, tableBytesMax: headersBytesMax };

/** The largest frame either side may send before tuning (§4.2.3 says 4096; RabbitMQ 4.1 asks for 8192). */
export const frameSizeBytesMin: number = 8192;
/** What RabbitMQ and this house offer by default, the eight bytes around the payload included. */
export const frameSizeBytesDefault: number = 128 * 1024;
/** Type, channel and size before the payload, one end mark behind it (§4.2.3). */
export const frameOverheadBytes: number = 8;
/** The largest message that a content assembler takes, by default: RabbitMQ's 4.x limit. */
export const messageSizeBytesDefault: number = 16 * 1024 * 1024;
