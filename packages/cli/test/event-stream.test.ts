import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStreamParser, type StreamEvent } from '../src/client/event-stream.js';

const stream = [
  ': keep alive\n\n',
  'event: plan\nid: 7\ndata: {"a":1}\n\n',
  'data: two\r\ndata:  lines\r\n\r\n',
  'event: empty\n\n',
  'retry: 10\nunknown\nid: 8\nevent: finished\ndata\n\n',
  'data: never ended',
].join('');

const expected: readonly StreamEvent[] = [
  { event: 'plan', data: '{"a":1}', id: '7' },
  { event: 'message', data: 'two\n lines', id: '7' },
  { event: 'finished', data: '', id: '8' },
];

test('a stream gives its events, whole ones only', () => {
  assert.deepEqual(new EventStreamParser().push(stream), expected);
});

test('every split of the stream gives the same events', () => {
  for (let at = 0; at <= stream.length; at += 1) {
    const parser = new EventStreamParser();
    assert.deepEqual([...parser.push(stream.slice(0, at)), ...parser.push(stream.slice(at))], expected);
  }
});

test('a line without an end is refused before it fills the memory', () => {
  const parser = new EventStreamParser();
  const piece = 'x'.repeat(1_048_576);
  assert.throws(() => {
    for (let count = 0; count < 5; count += 1) parser.push(piece);
  }, RangeError);
});
