import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Confirms } from '../src/confirms.js';

function told(confirms: Confirms, durableTicket: number, refused: readonly number[] = []): string[] {
  const lines: string[] = [];
  confirms.drain({ durableTicket, isRefused: (ticket) => refused.includes(ticket) }, (upTo, multiple, isRefused) => {
    lines.push(`${isRefused ? 'nack' : 'ack'} ${upTo}${multiple ? ' multiple' : ''}`);
  });
  return lines;
}

test('publishes of one commit are told of together', () => {
  const confirms = new Confirms();
  assert.equal(confirms.add(1), true);
  assert.equal(confirms.add(1), false);
  assert.equal(confirms.add(1), false);
  assert.deepEqual(told(confirms, 0), []);
  assert.deepEqual(told(confirms, 1), ['ack 3 multiple']);
  assert.deepEqual(told(confirms, 9), []);
});

test('a publish that needs no disk waits for the one before it', () => {
  const confirms = new Confirms();
  confirms.add(2);
  confirms.add(0);
  assert.deepEqual(told(confirms, 1), []);
  assert.deepEqual(told(confirms, 2), ['ack 2 multiple']);
  confirms.add(0);
  assert.deepEqual(told(confirms, 2), ['ack 3']);
});

test('a refusal stands alone between its neighbours', () => {
  const confirms = new Confirms();
  confirms.add(1);
  confirms.add(0, true);
  confirms.add(1);
  assert.deepEqual(told(confirms, 1), ['ack 1', 'nack 2', 'ack 3']);
});

test('a batch that found no room is nacked, but for a publish that only waited behind it', () => {
  const confirms = new Confirms();
  confirms.add(1);
  confirms.add(2);
  confirms.add(2);
  confirms.add(0);
  confirms.add(3);
  assert.deepEqual(told(confirms, 1, [2]), ['ack 1', 'nack 3 multiple', 'ack 4']);
  assert.deepEqual(told(confirms, 3, [2]), ['ack 5']);
});
