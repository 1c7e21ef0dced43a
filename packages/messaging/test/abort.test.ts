import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AbortTrigger } from '../src/abort.js';

test('a trigger calls each listener once, with the first reason', () => {
  const trigger = new AbortTrigger();
  const calls: string[] = [];
  trigger.addEventListener('abort', () => calls.push('a'));
  trigger.addEventListener('abort', () => calls.push('b'));
  assert.equal(trigger.aborted, false);
  trigger.abort('first');
  trigger.abort('second');
  assert.deepEqual(calls, ['a', 'b']);
  assert.equal(trigger.reason, 'first');
});

test('a listener that was removed, or came too late, is not called', () => {
  const trigger = new AbortTrigger();
  const calls: string[] = [];
  const removed = (): void => void calls.push('removed');
  trigger.addEventListener('abort', removed);
  trigger.removeEventListener('abort', removed);
  trigger.abort();
  trigger.addEventListener('abort', () => calls.push('late'));
  assert.deepEqual(calls, []);
});

test('a listener that removes another while the trigger calls keeps it from being called', () => {
  const trigger = new AbortTrigger();
  const calls: string[] = [];
  const second = (): void => void calls.push('second');
  trigger.addEventListener('abort', () => trigger.removeEventListener('abort', second));
  trigger.addEventListener('abort', second);
  trigger.abort();
  assert.deepEqual(calls, []);
});
