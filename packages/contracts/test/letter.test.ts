import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatJoinLine, openLetter, parseJoinLine, sealLetter, signedBytes } from '@torcello/contracts/agent';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const signature = new Uint8Array(64).fill(7);

test('a sealed letter opens into the same parts', () => {
  const sealed = sealLetter({ header: bytes('{"h":1}'), payload: bytes('{"p":2}'), signature });
  assert.deepEqual(openLetter(sealed), { header: bytes('{"h":1}'), payload: bytes('{"p":2}'), signature });
});

test('a letter cut at any byte, or with one byte too many, is no letter', () => {
  const sealed = sealLetter({ header: bytes('head'), payload: bytes('payload'), signature });
  for (let length = 0; length < sealed.length; length += 1)
    assert.equal(openLetter(sealed.subarray(0, length)), undefined);
  assert.equal(openLetter(new Uint8Array([...sealed, 0])), undefined);
});

test('a byte moved from the header into the payload changes what is signed', () => {
  assert.notDeepEqual(signedBytes(bytes('ab'), bytes('c')), signedBytes(bytes('a'), bytes('bc')));
});

test('a join line carries address, machine and token through one word', () => {
  const line = { api: 'http://127.0.0.1:8082', machine: 'web-1', token: 't' };
  assert.deepEqual(parseJoinLine(formatJoinLine(line)), line);
  assert.match(formatJoinLine(line), /^\S+$/);
});

for (const text of [
  '',
  'tcjoin1.',
  'tcjoin1.e30',
  'tcjoin1.!!!',
  `tcjoin2.${Buffer.from('{}').toString('base64url')}`,
]) {
  test(`"${text}" is no join line`, () => assert.equal(parseJoinLine(text), undefined));
}
