import assert from 'node:assert/strict';
import test from 'node:test';
import { context, SpanKind, trace } from '@opentelemetry/api';
import {
  connect,
  isMessagingError,
  mailboxes,
  memoryDriver,
  rpcClient,
  rpcServer,
  type Transport,
} from '@torcello/messaging';
import { MemoryBroker, SimulatedClock } from '@torcello/messaging/testing';
import { inTraceOf, instrumented, observeCalls } from '../src/index.js';
import { CollectedTelemetry, FollowingContexts } from './support/collected-telemetry.js';

context.setGlobalContextManager(new FollowingContexts());

interface World {
  readonly telemetry: CollectedTelemetry;
  readonly clock: SimulatedClock;
  readonly broker: MemoryBroker;
  readonly join: () => Promise<Transport>;
}

function makeWorld(): World {
  const telemetry = new CollectedTelemetry();
  const clock = new SimulatedClock();
  const broker = new MemoryBroker(clock);
  const { tracer, meter } = telemetry;
  const driver = instrumented(memoryDriver({ broker }), { tracer, meter });
  return { telemetry, clock, broker, join: () => connect('memory:', { drivers: [driver], clock }) };
}

test('one trace from a caller through two services and back, each span the child of the one before', async () => {
  const { telemetry, join } = makeWorld();
  await using all = await joined(join);
  const [near, middle, far] = all;
  const inner = rpcServer(far, { topic: 'inner', server: 'one' }, [{ methods: { deep: () => 'deep' } }]);
  const outer = rpcServer(middle, { topic: 'outer', server: 'one' }, [
    { methods: { ask: () => rpcClient(middle, { topic: 'inner' }).call('deep') } },
  ]);
  await inner.start();
  await outer.start();
  const root = telemetry.tracer.startSpan('the program');
  const answer = await context.with(trace.setSpan(context.active(), root), () =>
    rpcClient(near, { topic: 'outer' }).call('ask'),
  );
  root.end();
  assert.equal(answer, 'deep');
  await outer.stop();
  await inner.stop();
  const requests = ['process outer', 'process inner'].map((name) => telemetry.spans.find((span) => span.name === name));
  const [outside, inside] = requests;
  const parentOf = (span: typeof outside) => telemetry.spans.find(({ spanId }) => spanId === span?.parentSpanId);
  assert.equal(parentOf(outside)?.name, 'send openstack');
  assert.equal(parentOf(parentOf(outside))?.name, 'the program');
  assert.equal(parentOf(inside)?.name, 'send openstack');
  assert.equal(parentOf(parentOf(inside))?.name, 'process outer');
  assert.equal(new Set(telemetry.spans.map(({ traceId }) => traceId)).size, 1);
  const { kind, attributes } = outside ?? {};
  assert.equal(kind, SpanKind.CONSUMER);
  assert.deepEqual(
    [attributes?.['messaging.system'], attributes?.['messaging.operation.type'], attributes?.['torcello.settlement']],
    ['memory', 'process', 'accept'],
  );
});

test('a letter carries its trace to a reader that is not there yet', async () => {
  const { telemetry, join } = makeWorld();
  await using all = await joined(join);
  const [sender, , reader] = all;
  const boxes = mailboxes(sender);
  await boxes.open('m');
  const root = telemetry.tracer.startSpan('the program');
  const active = trace.setSpan(context.active(), root);
  await context.with(active, () => boxes.put('m', { id: 'letter-1', body: new Uint8Array(5) }));
  root.end();
  for await (const letter of mailboxes(reader).read('m')) {
    inTraceOf(letter, () => telemetry.tracer.startSpan('the work').end());
    letter.accept();
    break;
  }
  const byName = Object.fromEntries(telemetry.spans.map((span) => [span.name, span]));
  assert.equal(byName['send m']?.parentSpanId, byName['the program']?.spanId);
  assert.equal(byName['process m']?.parentSpanId, byName['send m']?.spanId);
  assert.equal(byName['the work']?.parentSpanId, byName['send m']?.spanId);
  assert.equal(byName['send m']?.attributes['messaging.message.id'], 'letter-1');
  assert.equal(byName['send m']?.attributes['messaging.message.body.size'], 5);
});

test('what fails is told by its code; what is in hand when the connection is lost ends with it', async () => {
  const { telemetry, join, broker } = makeWorld();
  await using all = await joined(join);
  const [sender, , reader] = all;
  const boxes = mailboxes(sender);
  await assert.rejects(boxes.put('absent', { id: '1', body: new Uint8Array() }));
  const failed = telemetry.spans.find(({ name }) => name === 'send absent');
  assert.deepEqual([failed?.attributes['error.type'], failed?.status?.code], ['UNROUTABLE', 2]);
  await boxes.open('m');
  await boxes.put('m', { id: '1', body: new Uint8Array() });
  const letter = await mailboxes(reader).take('m');
  broker.cut();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(letter?.accept(), false);
  const lost = telemetry.spans.filter(({ name }) => name === 'process m');
  assert.deepEqual(
    lost.map(({ attributes }) => attributes['torcello.settlement']),
    ['CONNECTION_LOST'],
  );
});

test('metrics: OpenTelemetry’s of messages, and oslo.messaging’s of calls by their own names', async () => {
  const { telemetry, join, clock } = makeWorld();
  const stop = observeCalls({ meter: telemetry.meter });
  await using all = await joined(join);
  const [near, , far] = all;
  let begun = (): void => undefined;
  const isSlow = new Promise<void>((resolve) => (begun = resolve));
  const methods = {
    fine: () => 1,
    slow: () =>
      new Promise((resolve) => {
        clock.after(2_000, () => resolve(2));
        begun();
      }),
    broken: () => Promise.reject(new RangeError('no')),
  };
  const server = rpcServer(far, { topic: 'calc', server: 'one' }, [{ methods }]);
  await server.start();
  const client = rpcClient(near, { topic: 'calc' });
  await client.call('fine');
  const slow = client.call('slow');
  await isSlow;
  await clock.advance(2_000);
  await slow;
  await assert.rejects(client.call('broken'), (error) => isMessagingError(error, 'REMOTE_ERROR'));
  await assert.rejects(rpcClient(near, { topic: 'nobody' }).call('x'), (error) =>
    isMessagingError(error, 'UNROUTABLE'),
  );
  await client.prepare({ server: 'one' }).cast('fine');
  await client.prepare({ fanout: true }).cast('fine');
  await rpcClient(near, { topic: 'nobody', exchange: 'other', namespace: 'n', version: '1.2' }).cast('y');
  await assert.rejects(rpcClient(near, { topic: 'nobody' }, { atLeastOnce: true }).cast('z'), (error) =>
    isMessagingError(error, 'UNROUTABLE'),
  );
  stop();
  await client.call('fine');
  await client.cast('fine');
  await server.stop();
  assert.deepEqual(telemetry.total('rpc_client_invocation_start_total', 'method'), {
    fine: 3,
    slow: 1,
    broken: 1,
    x: 1,
    y: 1,
    z: 1,
  });
  const ends = 'rpc_client_invocation_end_total';
  assert.deepEqual(telemetry.total(ends, 'topic'), { calc: 5, nobody: 3 });
  assert.deepEqual(telemetry.total(ends, 'call_type'), { call: 4, cast: 4 });
  const said = (name: string) => telemetry.total(ends, name) as Record<string, number>;
  assert.deepEqual([said('fanout')['true'], said('server')['one']], [1, 1]);
  assert.deepEqual([said('exchange')['other'], said('namespace')['n'], said('version')['1.2']], [1, 1, 1]);
  const seconds = { fine: 0, slow: 2, broken: 0, x: 0, y: 0, z: 0 };
  assert.deepEqual(telemetry.total('rpc_client_processing_seconds', 'method'), seconds);
  assert.deepEqual(telemetry.total('rpc_client_exception_total', 'exception'), { RangeError: 1, UNROUTABLE: 2 });
  assert.deepEqual(telemetry.total('rpc_server_exception_total', 'method'), { broken: 1 });
  const sent = telemetry.total('messaging.client.sent.messages', 'error.type');
  assert.equal((sent as Record<string, number>)['UNROUTABLE'], 3);
  assert.ok(Number(telemetry.total('messaging.process.duration')) >= 0);
});

test('without a provider nothing changes: the trace of a message is passed on', async () => {
  const clock = new SimulatedClock();
  const driver = instrumented(memoryDriver({ broker: new MemoryBroker(clock) }));
  await using transport = await connect('memory:', { drivers: [driver], clock });
  const boxes = mailboxes(transport);
  await boxes.open('m');
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  await boxes.put('m', { id: '1', body: new Uint8Array(), headers: { traceparent } });
  const letter = await boxes.take('m');
  assert.equal(letter?.headers['traceparent'], traceparent);
  assert.equal(letter?.accept(), true);
});

async function joined(
  join: () => Promise<Transport>,
): Promise<readonly [Transport, Transport, Transport] & AsyncDisposable> {
  const transports = [await join(), await join(), await join()] as const;
  const dispose = async (): Promise<void> => {
    for (const transport of transports) await transport.close();
  };
  return Object.assign(transports, { [Symbol.asyncDispose]: dispose });
}
