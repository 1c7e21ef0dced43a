import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ContentAssembler,
  decodeProperties,
  EncodeError,
  encodeContent,
  encodeMethod,
  FrameReader,
  FrameWriter,
  methodSpecs,
  ProtocolError,
  replyCodes,
  replyName,
  type Command,
  type ContentCommand,
  type Frame,
  type OutgoingContentMethod,
  type OutgoingMethod,
  type ReplyName,
} from '../src/index.js';
import { anyMethod, bytes, methodOf, properties } from './arbitraries.js';

const limits = { tableDepthMax: 64, tableEntriesMax: 1e6, tableBytesMax: 1e9 };
const publish: OutgoingContentMethod = { name: 'basic.publish', exchange: 'x', routingKey: 'k' };

function frames(reader: FrameReader): readonly Frame[] {
  const found: Frame[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) found.push(frame);
  return found;
}

function read(
  stream: Uint8Array,
  options: Partial<ConstructorParameters<typeof FrameReader>[0]> = {},
): readonly Frame[] {
  const reader = new FrameReader({ role: 'client', limits, frameSizeBytesMax: 1e9, ...options });
  reader.push(stream);
  return frames(reader);
}

function isProtocolError(name: ReplyName): (error: unknown) => boolean {
  return (error) =>
    error instanceof ProtocolError && error.replyName === name && error.replyCode === replyCodes[name].code;
}

function writeAny(writer: FrameWriter, channel: number, method: OutgoingMethod): void {
  const isContent = (candidate: OutgoingMethod): candidate is OutgoingContentMethod =>
    methodSpecs.some((spec) => spec.name === candidate.name && spec.hasContent);
  if (isContent(method)) writer.content(channel, method, { properties: {}, body: new Uint8Array(0) });
  else writer.method(channel, method);
}

for (const spec of methodSpecs) {
  test(`${spec.name} comes back as it went`, () => {
    fc.assert(
      fc.property(methodOf(spec), fc.nat(0xffff), (method, channel) => {
        const writer = new FrameWriter({ frameSizeBytesMax: 1e9 });
        writeAny(writer, channel, method);
        const [frame] = read(Buffer.concat(writer.take()));
        assert.deepEqual(frame, { type: 'method', channel, method });
      }),
      { numRuns: 30 },
    );
  });
}

test('bits and tables that are left out are false and empty', () => {
  const [frame] = read(encodeMethod(1, { name: 'queue.declare', queue: 'q' }));
  const bits = { passive: false, durable: false, exclusive: false, autoDelete: false, noWait: false };
  assert.deepEqual(frame, {
    type: 'method',
    channel: 1,
    method: { name: 'queue.declare', queue: 'q', ...bits, arguments: {} },
  });
});

test('content comes back as it went, whatever the frame size', () => {
  const body = fc.uint8Array({ maxLength: 40_000 });
  fc.assert(
    fc.property(properties, body, fc.integer({ min: 4096, max: 20_000 }), (given, content, frameSizeBytesMax) => {
      const stream = tryEncode(() =>
        encodeContent(7, publish, { properties: given, body: content }, frameSizeBytesMax),
      );
      if (stream === undefined) return;
      const assembler = new ContentAssembler({ limits });
      const commands = read(stream, { frameSizeBytesMax }).map((frame) => push(assembler, frame));
      const last = commands.pop() as ContentCommand;
      assert.ok(commands.every((command) => command === undefined));
      assert.deepEqual(last.properties, given);
      assert.deepEqual(Buffer.from(last.body), Buffer.from(content));
      const again = encodeContent(7, publish, { properties: last.propertyBytes, body: last.body }, frameSizeBytesMax);
      assert.deepEqual(again, stream);
    }),
    { numRuns: 60 },
  );
});

function tryEncode(encode: () => Uint8Array): Uint8Array | undefined {
  try {
    return encode();
  } catch (error) {
    assert.ok(error instanceof EncodeError && error.code === 'FRAME_TOO_LARGE');
    return undefined;
  }
}

function push(assembler: ContentAssembler, frame: Frame | undefined): Command | undefined {
  assert.ok(frame !== undefined && frame.type !== 'heartbeat' && frame.type !== 'protocolHeader');
  return assembler.push(frame);
}

function sampleStream(): Uint8Array {
  const writer = new FrameWriter({ frameSizeBytesMax: 4096 });
  writer.protocolHeader();
  writer.method(0, { name: 'connection.tune-ok', channelMax: 10, frameMax: 4096, heartbeat: 3 });
  writer.heartbeat();
  writer.content(3, publish, {
    properties: { headers: { a: [1, { b: 'c' }] }, messageId: 'm' },
    body: Buffer.alloc(9000, 'z'),
  });
  writer.content(3, publish, { properties: {}, body: new Uint8Array(0) });
  writer.method(3, { name: 'basic.ack', deliveryTag: 1, multiple: true });
  return Buffer.concat(writer.take());
}

test('every split of a stream into two gives the same frames', () => {
  const stream = sampleStream();
  const whole = read(stream, { role: 'server' });
  assert.equal(whole.length, 11);
  for (let cut = 0; cut <= stream.length; cut++) {
    const reader = new FrameReader({ role: 'server', frameSizeBytesMax: 4096 });
    reader.push(stream.subarray(0, cut));
    const first = frames(reader);
    reader.push(stream.subarray(cut));
    assert.deepEqual([...first, ...frames(reader)], whole);
  }
});

test('any split of any stream gives the same frames, also byte by byte and undrained', () => {
  const cuts = fc.array(fc.nat(1), { minLength: 1 });
  fc.assert(
    fc.property(
      fc.array(anyMethod, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      cuts,
      (methods, sizes, drains) => {
        const writer = new FrameWriter({ frameSizeBytesMax: 1e9 });
        for (const method of methods) writeAny(writer, 1, method);
        const stream = Buffer.concat(writer.take());
        const reader = new FrameReader({ role: 'client', limits, frameSizeBytesMax: 1e9 });
        const found: Frame[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1;
          reader.push(stream.subarray(at, at + size));
          at += size;
          if (drains[turn % drains.length] === 1) found.push(...frames(reader));
        }
        found.push(...frames(reader));
        assert.deepEqual(found, read(stream));
      },
    ),
    { numRuns: 50 },
  );
});

test('a frame is refused by its size before any of it is kept', () => {
  const reader = new FrameReader({ role: 'client', frameSizeBytesMax: 4096 });
  reader.push(Uint8Array.of(3, 0, 1, 0, 0, 0x0f, 0xf9));
  assert.throws(() => reader.next(), isProtocolError('FRAME_ERROR'));
  reader.push(Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0xce));
  assert.throws(() => reader.next(), isProtocolError('FRAME_ERROR'), 'the stream stays lost');
  const exact = encodeContent(1, publish, { properties: {}, body: Buffer.alloc(4088) }, 4096);
  assert.equal(read(exact, { frameSizeBytesMax: 4096 }).length, 3);
});

test('malformed frames are frame errors', () => {
  for (const bad of ['08000000000000cf', '0900000000000000ce', '0800000000000100ce', '414d5150000090']) {
    assert.throws(() => read(Buffer.from(`08000000000000ce${bad}`, 'hex')), isProtocolError('FRAME_ERROR'), bad);
  }
});

test('a heartbeat of a channel and content of another class are frames out of place', () => {
  assert.throws(() => read(Buffer.from('08000100000000ce', 'hex')), isProtocolError('UNEXPECTED_FRAME'));
  const header = '0200010000000e0032000000000000000000000000ce';
  assert.throws(() => read(Buffer.from(header, 'hex')), isProtocolError('UNEXPECTED_FRAME'));
});

test('methods nobody defined, cut arguments and bytes too many are told apart', () => {
  const method = (payload: string): Uint8Array => {
    const bytesOf = Buffer.from(payload, 'hex');
    const head = Buffer.from([1, 0, 1, 0, 0, 0, bytesOf.length]);
    return Buffer.concat([head, bytesOf, Uint8Array.of(0xce)]);
  };
  assert.throws(() => read(method('003c0101')), isProtocolError('COMMAND_INVALID'));
  assert.throws(() => read(method('003c0050000000000000000100ff')), isProtocolError('SYNTAX_ERROR'));
  assert.throws(() => read(method('003c')), isProtocolError('SYNTAX_ERROR'));
  assert.throws(
    () => read(method('003c00500000')),
    (error) => {
      assert.ok(error instanceof ProtocolError);
      assert.deepEqual([error.classId, error.methodId, error.radius], [60, 80, 'connection']);
      return true;
    },
  );
  assert.throws(() => read(method('003c0050ffffffffffffffff00')), isProtocolError('SYNTAX_ERROR'));
  assert.throws(() => read(method('0032000a000002ff0000000000')), isProtocolError('SYNTAX_ERROR'));
});

test('the protocol header is known for what it is', () => {
  const [good] = read(Buffer.from('AMQP\0\0\x09\x01', 'latin1'), { role: 'server' });
  assert.ok(good?.type === 'protocolHeader' && good.isSupported);
  const [older] = read(Buffer.from('AMQP\x01\x01\0\x09', 'latin1'), { role: 'server' });
  assert.ok(older?.type === 'protocolHeader' && older.isSupported, 'AMQP 0-9');
  for (const unknown of ['AMQP\x01\x01\x08\0', 'AMQP\x01\x01\x09\x01', 'AMQP\0\x01\0\0']) {
    const [first] = read(Buffer.from(unknown, 'latin1'), { role: 'server' });
    assert.ok(first?.type === 'protocolHeader' && !first.isSupported, JSON.stringify(unknown));
  }
  const [other] = read(Buffer.from('GET / HT', 'latin1'), { role: 'server' });
  assert.ok(other?.type === 'protocolHeader' && !other.isSupported);
  const [answer] = read(Buffer.from('AMQP\x03\x01\0\0', 'latin1'));
  assert.ok(answer?.type === 'protocolHeader' && !answer.isSupported);
});

test('random bytes give a protocol error and nothing else', () => {
  const noise = fc.array(fc.oneof(bytes, fc.constant(sampleStream().subarray(8))), { maxLength: 5 });
  fc.assert(
    fc.property(noise, fc.nat(), fc.nat(255), (parts, at, value) => {
      const stream = Buffer.concat(parts);
      if (stream.length > 0) stream[at % stream.length] = value;
      const assemblers = new Map<number, ContentAssembler>();
      try {
        for (const frame of read(stream, { frameSizeBytesMax: 8192 })) {
          if (frame.type === 'heartbeat' || frame.type === 'protocolHeader') continue;
          const assembler = assemblers.get(frame.channel) ?? new ContentAssembler();
          assemblers.set(frame.channel, assembler);
          assembler.push(frame);
        }
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('a drip of single bytes holds no more than the frame', () => {
  const body = Buffer.alloc(100_000);
  const stream = encodeContent(1, publish, { properties: {}, body });
  const reader = new FrameReader({ role: 'client' });
  let count = 0;
  for (let at = 0; at < stream.length; at++) {
    reader.push(stream.subarray(at, at + 1));
    count += frames(reader).length;
  }
  assert.equal(count, 3);
});

test('frames out of order, bodies too long and messages too large', () => {
  const [method, header, body] = read(encodeContent(1, publish, { properties: {}, body: Buffer.from('abc') }));
  const assembler = new ContentAssembler({ messageSizeBytesMax: 3 });
  assert.throws(() => push(assembler, header), isProtocolError('UNEXPECTED_FRAME'));
  assert.throws(() => push(assembler, body), isProtocolError('UNEXPECTED_FRAME'));
  push(assembler, method);
  assert.throws(() => push(assembler, method), isProtocolError('UNEXPECTED_FRAME'));
  push(assembler, method);
  push(assembler, header);
  assert.throws(
    () => assembler.push({ type: 'body', channel: 1, payload: Buffer.from('abcd') }),
    isProtocolError('UNEXPECTED_FRAME'),
  );
  push(assembler, method);
  assert.equal(assembler.isBusy, true);
  const [, large] = read(encodeContent(1, publish, { properties: {}, body: Buffer.from('abcd') }));
  assert.throws(
    () => push(assembler, large),
    (error) => {
      assert.ok(error instanceof ProtocolError);
      assert.deepEqual(
        [error.replyName, error.radius, error.classId, error.methodId],
        ['PRECONDITION_FAILED', 'channel', 60, 40],
      );
      return true;
    },
  );
  assert.equal(assembler.isBusy, false);
});

test('a body in the smallest pieces is put together', () => {
  const assembler = new ContentAssembler();
  const [method, header] = read(encodeContent(1, publish, { properties: {}, body: Buffer.alloc(50_000) }));
  push(assembler, method);
  push(assembler, header);
  let command: Command | undefined;
  for (let at = 0; at < 50_000; at++)
    command = assembler.push({ type: 'body', channel: 1, payload: Uint8Array.of(at & 0xff) });
  const { body } = command as ContentCommand;
  assert.equal(body.byteLength, 50_000);
  assert.ok(body.every((value, at) => value === (at & 0xff)));
});

test('property flags that nobody defined are a syntax error', () => {
  assert.throws(() => decodeProperties(Uint8Array.of(0, 1)), isProtocolError('SYNTAX_ERROR'));
  assert.throws(() => decodeProperties(Uint8Array.of(0, 2)), isProtocolError('SYNTAX_ERROR'));
  assert.throws(() => decodeProperties(Uint8Array.of(0, 0, 0)), isProtocolError('SYNTAX_ERROR'));
});

test('a timestamp in nanoseconds loses nothing', () => {
  const timestamp = 1_700_000_000_000_000_000n;
  const [, header] = read(encodeContent(1, publish, { properties: { timestamp }, body: new Uint8Array(0) }));
  assert.ok(header?.type === 'header');
  assert.equal(decodeProperties(header.propertyBytes).timestamp, timestamp);
});

test('what cannot be encoded leaves nothing behind', () => {
  const writer = new FrameWriter({ frameSizeBytesMax: 4096 });
  writer.heartbeat();
  const before = writer.byteLength;
  const content = { properties: { headers: { big: 'x'.repeat(5000) } }, body: Buffer.from('b') };
  assert.throws(() => writer.content(1, publish, content), { code: 'FRAME_TOO_LARGE' });
  assert.throws(() => writer.content(1, { ...publish, routingKey: 'é'.repeat(128) }, { ...content, properties: {} }), {
    code: 'STRING_TOO_LONG',
  });
  assert.throws(() => writer.method(1, { name: 'basic.qos', prefetchSize: 0, prefetchCount: 70_000 }), {
    code: 'OUT_OF_RANGE',
  });
  assert.equal(writer.byteLength, before);
  writer.heartbeat();
  assert.deepEqual(
    read(Buffer.concat(writer.take())).map((frame) => frame.type),
    ['heartbeat', 'heartbeat'],
  );
});

test('a writer keeps the order over many slabs and large bodies', () => {
  const writer = new FrameWriter({ slabBytes: 64 });
  const sizes = [0, 1, 100, 9000, 20_000, 131_072, 300_000, 5];
  for (const size of sizes)
    writer.content(1, publish, { properties: { messageId: String(size) }, body: Buffer.alloc(size, size & 0xff) });
  const length = writer.byteLength;
  const stream = Buffer.concat(writer.take());
  assert.equal(stream.length, length);
  assert.equal(writer.byteLength, 0);
  const assembler = new ContentAssembler();
  const commands = read(stream)
    .map((frame) => push(assembler, frame))
    .filter((command) => command !== undefined) as ContentCommand[];
  assert.deepEqual(
    commands.map(({ properties: { messageId }, body }) => [messageId, body.byteLength]),
    sizes.map((size) => [String(size), size]),
  );
  assert.ok(commands.every(({ body }) => body.every((value) => value === (body.byteLength & 0xff))));
});

test('reply codes have names both ways', () => {
  for (const [name, { code }] of Object.entries(replyCodes)) assert.equal(replyName(code), name);
  assert.equal(replyName(999), undefined);
});
