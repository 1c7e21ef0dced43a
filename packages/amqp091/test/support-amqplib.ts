import { createRequire } from 'node:module';
import path from 'node:path';

/** The part of amqplib's generated codec that the tests use as an oracle. It is not public, so its path is. */
export interface AmqplibCodec {
  info(id: number): {
    readonly name: string;
    readonly args: readonly { readonly type: string; readonly name: string }[];
  };
  encodeMethod(id: number, channel: number, fields: Readonly<Record<string, unknown>>): Buffer;
  encodeProperties(id: number, channel: number, size: number, fields: Readonly<Record<string, unknown>>): Buffer;
  decode(id: number, payload: Buffer): Record<string, unknown>;
}

const require = createRequire(import.meta.url);
const folder = path.dirname(require.resolve('amqplib'));

export const amqplib: AmqplibCodec = require(path.join(folder, 'lib', 'defs.js')) as AmqplibCodec;
