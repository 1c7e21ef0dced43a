import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { isPriority, decodeNotification, encodeNotification } from '../src/notify/notification.js';
import { decodeRequest, encodeRequest } from '../src/rpc/request.js';
import { decodeFailure } from '../src/rpc/failure.js';
import { requestDestination } from '../src/rpc/target.js';
import { decodeEnvelope, jsonProperties } from '../src/wire/envelope.js';
import { decodeReply, encodeReply } from '../src/wire/reply.js';
import { bytes } from './support/world.js';

interface Captured {
  readonly scenario: string;
  readonly kind: 'request' | 'reply' | 'notification';
  readonly enveloped: boolean;
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly body: string;
}

const { messages } = JSON.parse(readFileSync(new URL('golden/oslo-messages.json', import.meta.url), 'utf8')) as {
  readonly messages: readonly Captured[];
};

const incoming = (body: Uint8Array) => ({ body, headers: {}, properties: {} });

for (const [at, captured] of messages.entries()) {
  test(`${captured.kind} ${at} of ${captured.scenario} is read, and written again means the same`, () => {
    const message = incoming(bytes(captured.body));
    assert.deepEqual(decodeEnvelope(incoming(rewrite(captured))), decodeEnvelope(message));
    const { content_type, content_encoding, priority } = captured.properties;
    assert.deepEqual({ contentType: content_type, contentEncoding: content_encoding, priority }, jsonProperties);
  });
}

function rewrite(captured: Captured): Uint8Array {
  const message = incoming(bytes(captured.body));
  if (captured.kind === 'request') return encodeRequest(decodeRequest(message));
  const uniqueId = String(decodeEnvelope(message)['_unique_id']);
  if (captured.kind === 'reply') return encodeReply({ ...decodeReply(message), uniqueId });
  const notification = decodeNotification(message);
  const { priority } = notification;
  assert.ok(isPriority(priority));
  return encodeNotification({ ...notification, priority }, { uniqueId, format: captured.enveloped ? 'v2' : 'v1' });
}

test('requests go where Python sends them', () => {
  const sent = new Set(
    messages.filter(({ kind }) => kind === 'request').map((to) => `${to.exchange} ${to.routingKey}`),
  );
  const target = { topic: 'golden' };
  for (const ours of [target, { ...target, server: 'server1' }, { ...target, fanout: true }]) {
    const { exchange, routingKey } = requestDestination(ours);
    assert.ok(sent.has(`${exchange} ${routingKey}`), `${exchange} ${routingKey} in ${JSON.stringify([...sent])}`);
  }
});

test('every failure of Python is a remote error with its class and message', () => {
  const failures = messages
    .filter(({ kind }) => kind === 'reply')
    .map(({ body }) => decodeReply(incoming(bytes(body))).failure)
    .filter((failure) => failure !== undefined);
  assert.ok(failures.length >= 5);
  for (const failure of failures) {
    const python = JSON.parse(failure) as Readonly<Record<string, unknown>>;
    const { code, details } = decodeFailure(failure);
    assert.deepEqual(
      [details['class'], details['message'], details['traceback']],
      [python['class'], python['message'], python['tb']],
    );
    const dispatcher: Readonly<Record<string, string>> = {
      NoSuchMethod: 'NO_SUCH_METHOD',
      UnsupportedVersion: 'UNSUPPORTED_VERSION',
    };
    assert.equal(code, dispatcher[String(python['class'])] ?? 'REMOTE_ERROR');
  }
});
