import type { Chaos } from './chaos.js';

/** Damages bytes in one of the ways that find bugs: flipped, cut, doubled, lengthened, with other numbers in them. */
export function mutated(bytes: Buffer, chaos: Chaos): Buffer {
  return chaos.one(mutations)(Buffer.from(bytes), chaos);
}

const interesting = [0, 1, 0x7f, 0x80, 0xce, 0xff] as const;
const lengths = [0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff] as const;

const mutations: readonly ((bytes: Buffer, chaos: Chaos) => Buffer)[] = [
  (bytes, chaos) => {
    const at = chaos.upTo(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << chaos.upTo(8));
    return bytes;
  },
  (bytes, chaos) => {
    bytes[chaos.upTo(bytes.length)] = chaos.one(interesting);
    return bytes;
  },
  (bytes, chaos) => bytes.subarray(0, chaos.upTo(bytes.length)),
  (bytes, chaos) => {
    const at = chaos.upTo(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(chaos.upTo(20), chaos.upTo(256)), bytes.subarray(at)]);
  },
  (bytes, chaos) => Buffer.concat([bytes, bytes.subarray(chaos.upTo(bytes.length))]),
  /** A wrong length of the frame, or of something in it. */
  (bytes, chaos) => {
    if (bytes.length < 12) return bytes;
    const at = chaos.upTo(2) === 0 ? 3 : chaos.upTo(bytes.length - 4);
    bytes.writeUInt32BE(chaos.one(lengths), at);
    return bytes;
  },
  /** The frame keeps its form, and holds rubbish. */
  (bytes, chaos) => {
    for (let at = 11; at < bytes.length - 1; at++) if (chaos.upTo(4) === 0) bytes[at] = chaos.upTo(256);
    return bytes;
  },
];

/** Cuts bytes into chunks: one, some, or one a byte. */
export function split(bytes: Buffer, chaos: Chaos): Buffer[] {
  const kind = chaos.upTo(12);
  if (kind > 2) return [bytes];
  if (kind === 0) return Array.from(bytes, (_byte, at) => bytes.subarray(at, at + 1));
  const at = chaos.upTo(bytes.length + 1);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}
