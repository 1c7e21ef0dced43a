import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Confirms } from '../src/confirms.js';

function told(confirms: Confirms, durable: number): string[] {
  const lines: string[] = [];
  confirms.drain(durable, (upTo, multiple, isRefused) => {
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
