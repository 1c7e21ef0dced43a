import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { deflateSync } from 'node:zlib';
import { isMessagingError, isVersionCompatible, limits, RemoteFailure } from '../src/index.js';
import { decodeFailure, encodeFailure } from '../src/rpc/failure.js';
import { decodeRequest, encodeRequest } from '../src/rpc/request.js';
import { decodeEnvelope, encodeEnvelope } from '../src/wire/envelope.js';
import { parseJson, stringifyJson } from '../src/wire/json.js';
import { matchesTopic } from '../src/memory/topic-pattern.js';
import { bytes } from './support/world.js';

const golden = (name: string): unknown => JSON.parse(readFileSync(new URL(`golden/${name}`, import.meta.url), 'utf8'));
const incoming = (body: Uint8Array, headers = {}) => ({ body, headers, properties: {} });

const versions = golden('vectors-version-compat.json') as {
  readonly cases: readonly (readonly [string | null, string | null, boolean | string])[];
};
for (const [implemented, requested, expected] of versions.cases) {
  test(`${implemented ?? 'no version'} ${String(expected)} for ${requested ?? 'no version'}, as in oslo`, () => {
    const check = (): boolean => isVersionCompatible(implemented ?? undefined, requested ?? undefined);
    if (typeof expected === 'string') assert.throws(check, TypeError);
    else assert.equal(check(), expected);
  });
}

const failures = golden('vectors-failure.json') as {
  readonly serialized: readonly { class: string; module: string; message: string; tb: string[]; args: unknown[] }[];
};
for (const failure of failures.serialized) {
  test(`reads Python's failure ${failure.module}.${failure.class} "${failure.message}"`, () => {
    const error = decodeFailure(JSON.stringify(failure));
    assert.equal(error.code, 'REMOTE_ERROR');
    const { class: name, module, message, tb: traceback, args } = failure;
    assert.deepEqual(error.details, { class: name, module, message, traceback, args });
  });
}

test('a failure that is no JSON, or no object, is a remote error with its text', () => {
  for (const text of ['boom', '"boom"', '[1]', 'null']) assert.equal(decodeFailure(text).code, 'REMOTE_ERROR');
  assert.equal(decodeFailure('boom').details['message'], 'boom');
});

test('a failure is written with the fields and no others that Python needs', () => {
  const failure = JSON.parse(
    encodeFailure(new RemoteFailure({ class: 'ValueError', module: 'builtins', message: 'm' })),
  );
  assert.deepEqual(failure, {
    class: 'ValueError',
    module: 'builtins',
    message: 'm',
    tb: ['ValueError: m\n'],
    args: ['m'],
    kwargs: {},
  });
  const again = JSON.parse(
    encodeFailure(new RemoteFailure({ class: 'Foo_Remote', module: 'mod_Remote', message: 'm' })),
  );
  assert.deepEqual([again.class, again.module], ['Foo', 'mod']);
});

test('JSON keeps every digit of an integer and knows the words of Python', () => {
  const text =
    '{"big": 1180591620717411303424, "safe": 9007199254740991, "unsafe": -9007199254740993, "f": 1234567890.12345678901, "n": [NaN, Infinity, -Infinity], "t": "\\u2603\\n12345678901234567890"}';
  assert.deepEqual(parseJson(text), {
    big: 2n ** 70n,
    safe: Number.MAX_SAFE_INTEGER,
    unsafe: -9007199254740993n,
    f: 1234567890.1234567,
    n: [Number.NaN, Infinity, -Infinity],
    t: '☃\n12345678901234567890',
  });
  assert.equal(
    stringifyJson({ a: 2n ** 70n, b: [1n, undefined], c: undefined, d: new Date(0) }),
    '{"a":1180591620717411303424,"b":[1,null],"d":"1970-01-01T00:00:00.000Z"}',
  );
  assert.equal(stringifyJson(undefined), 'null');
});

for (const text of [
  '',
  '{',
  '[1,]',
  '{"a" 1}',
  '01',
  '+1',
  'nul',
  '"\u0001"',
  '1 2',
  '{"a":NaN,}',
  `${'['.repeat(600)}NaN${']'.repeat(600)}`,
]) {
  test(`refuses ${text.slice(0, 20)} as JSON`, () => assert.throws(() => parseJson(text), SyntaxError));
}

test('a field named __proto__ stays a field', () => {
  const value = parseJson('{"__proto__": {"x": NaN}}') as object;
  assert.deepEqual(Object.keys(value), ['__proto__']);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
});

test('an envelope round-trips; bare payloads and zlib bodies are read; strangers are refused', () => {
  const payload = { text: 'ž☃', n: 2n ** 64n };
  assert.deepEqual(decodeEnvelope(incoming(encodeEnvelope(payload))), payload);
  assert.deepEqual(decodeEnvelope(incoming(bytes('{"a":1}'))), { a: 1 });
  const headers = { compression: 'application/x-gzip' };
  assert.deepEqual(decodeEnvelope(incoming(deflateSync(encodeEnvelope(payload)), headers)), payload);
  const refused = [
    incoming(bytes('no json')),
    incoming(bytes('[]')),
    incoming(bytes('{"oslo.version":"2.1","oslo.message":"{}"}')),
    incoming(bytes('{"oslo.version":"2.0","oslo.message":{}}')),
    incoming(new Uint8Array([0xff, 0xfe])),
    incoming(bytes('{}'), { compression: 'application/zstd' }),
    incoming(bytes('{}'), headers),
    incoming(deflateSync(Buffer.alloc(9 * 1024 * 1024)), headers),
  ];
  for (const message of refused)
    assert.throws(
      () => decodeEnvelope(message),
      (error) => isMessagingError(error, 'UNDECODABLE'),
    );
});

test('the request that Python sends is read, and ours has its shape', () => {
  const python =
    '{"oslo.version": "2.0", "oslo.message": "{\\"method\\": \\"add\\", \\"args\\": {\\"a\\": 1, \\"b\\": 2}, \\"_msg_id\\": \\"82a3753bcaf943c5bdfc9d9c844986e0\\", \\"_reply_q\\": \\"reply_686b2f998fdb44b8a899d7ad4a9aaa85\\", \\"_timeout\\": null, \\"_unique_id\\": \\"a786d3651fb94c3194c7317f62a30a9d\\", \\"_context_user\\": \\"alice\\", \\"_context_is_admin\\": true, \\"_context_roles\\": [\\"a\\", \\"b\\"], \\"_context_client_timeout\\": 3, \\"_context_nothing\\": null}"}';
  const request = decodeRequest(incoming(bytes(python)));
  assert.deepEqual(request, {
    method: 'add',
    args: { a: 1, b: 2 },
    namespace: undefined,
    version: undefined,
    context: { user: 'alice', is_admin: true, roles: ['a', 'b'], nothing: null },
    uniqueId: 'a786d3651fb94c3194c7317f62a30a9d',
    reply: {
      messageId: '82a3753bcaf943c5bdfc9d9c844986e0',
      queue: 'reply_686b2f998fdb44b8a899d7ad4a9aaa85',
      monitorMs: undefined,
      wantsAcceptance: false,
    },
  });
  const ours = JSON.parse(String(decodeOuter(encodeRequest(request))['oslo.message'])) as object;
  assert.deepEqual(Object.keys(ours), [
    'method',
    'args',
    '_msg_id',
    '_reply_q',
    '_timeout',
    '_unique_id',
    '_context_user',
    '_context_is_admin',
    '_context_roles',
    '_context_nothing',
  ]);
});

function decodeOuter(body: Uint8Array): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>;
}

for (const [pattern, key, expected] of [
  ['a.b', 'a.b', true],
  ['a.*', 'a.b', true],
  ['a.*', 'a', false],
  ['a.*', 'a.b.c', false],
  ['a.#', 'a', true],
  ['a.#', 'a.b.c', true],
  ['#', '', true],
  ['#.z', 'a.b.z', true],
  ['#.z.#', 'z', true],
  ['*.b.#', 'a.b', true],
  ['a', 'ab', false],
  ['', '', false],
] as const) {
  test(`the pattern "${pattern}" ${expected ? 'fits' : 'does not fit'} "${key}"`, () => {
    assert.equal(matchesTopic(pattern, key), expected);
  });
}

for (const [depth, isRead] of [
  [limits.jsonDepth - 1, true],
  [limits.jsonDepth, true],
  [limits.jsonDepth + 1, false],
] as const) {
  for (const inner of ['1', 'NaN', '"[[{\\"[{"']) {
    test(`${depth} levels around ${inner} ${isRead ? 'are read' : 'are refused'}`, () => {
      const json = `${'['.repeat(depth - 1)}{"a":${inner}}${']'.repeat(depth - 1)}`;
      if (isRead) assert.ok(Array.isArray(parseJson(json)));
      else assert.throws(() => parseJson(json), SyntaxError);
    });
  }
}

for (const [sizeBytes, isRead] of [
  [limits.inflatedSizeBytesMax - 1, true],
  [limits.inflatedSizeBytesMax, true],
  [limits.inflatedSizeBytesMax + 1, false],
] as const) {
  test(`a compressed body of ${sizeBytes} bytes ${isRead ? 'is read' : 'is refused'}`, () => {
    const body = deflateSync(`{"a":"${'x'.repeat(sizeBytes - 8)}"}`);
    const read = (): unknown => decodeEnvelope(incoming(body, { compression: 'application/x-gzip' }));
    if (isRead) assert.doesNotThrow(read);
    else assert.throws(read, (error) => isMessagingError(error, 'UNDECODABLE'));
  });
}
