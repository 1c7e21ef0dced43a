import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import {
  connect,
  notificationListener,
  notifier,
  RemoteFailure,
  rpcClient,
  rpcServer,
  type Notification,
  type Transport,
} from '@torcello/messaging';
import rhea from 'rhea';
import { amqp10Driver } from '../src/index.js';
import { ScriptedPeer, type EngineMessage } from './support/scripted-peer.js';

interface Captured {
  readonly address: string;
  readonly message: EngineMessage;
}

const modes = [
  { mode: 'legacy', path: '', reply: /^source-/ },
  { mode: 'routable', path: '/myvhost', reply: /^source-/ },
] as const;

/** What oslo.messaging sent, section by section, in the order of its program. */
function captured(mode: string): readonly Captured[] {
  const file = new URL(`golden/amqp1-${mode}.json`, import.meta.url);
  const { events_at_broker: events } = JSON.parse(readFileSync(file, 'utf8')) as {
    events_at_broker: readonly { link_target_address?: string; message?: { encoded_hex: string } }[];
  };
  return events.flatMap(({ link_target_address: address, message }) =>
    message === undefined || address === undefined
      ? []
      : [{ address, message: rhea.message.decode(Buffer.from(message.encoded_hex, 'hex')) as EngineMessage }],
  );
}

/**
 * A message reduced to what both sides have to agree on. Left out: ids and reply addresses (only that they are there),
 * oslo's expiry in 1970 that peers ignore, and what we add in application properties.
 */
function shape({ address, message }: Captured): unknown {
  const { body, to, message_id: id, reply_to: replyTo, correlation_id: correlation, ttl, ...more } = message;
  const { durable: _, absolute_expiry_time: __, application_properties: ___, header: ____, ...unexpected } = more;
  return {
    address,
    isTo: to === address,
    body: body === undefined || body === null ? 'no body' : withoutIds(JSON.parse(body as string)),
    bodyKind: typeof body,
    has: { id: id !== undefined, replyTo: replyTo !== undefined, correlation: correlation !== undefined },
    ttl: ttl === 0 ? undefined : ttl,
    unexpected,
  };
}

function withoutIds(body: unknown): unknown {
  return JSON.parse(
    JSON.stringify(body, (name, value: unknown) => {
      if (['message_id', 'timestamp'].includes(name)) return `some ${name}`;
      if (name !== 'oslo.message') return value;
      return JSON.stringify(withoutIds(JSON.parse(String(value))));
    }),
  );
}

for (const { mode, path, reply } of modes) {
  const golden = captured(mode);
  const requests = golden.filter(({ address }) => !reply.test(address));
  const answers = golden.filter(({ address }) => reply.test(address));

  test(`${mode}: what we send is what oslo.messaging sends, and its answers are understood`, async () => {
    const peer = await ScriptedPeer.start();
    const url = `${peer.url}${path}?addressing_mode=${mode}&profile=qpid`;
    const transport = await connect(url, { drivers: [amqp10Driver()] });
    const ours = await sendAsOslo(transport, peer, answers);
    assert.deepEqual(ours.map(shape), requests.map(shape));
    assert.equal(peer.attached.find(({ role }) => role === 'reads')?.isDynamic, true);
    await transport.close();
    await peer.stop();
  });

  test(`${mode}: what oslo.messaging sends is understood, and our answers are what it sends`, async () => {
    const peer = await ScriptedPeer.start();
    const url = `${peer.url}${path}?addressing_mode=${mode}&profile=qpid`;
    const transport = await connect(url, { drivers: [amqp10Driver()] });
    const { told, stop } = await serveAsOslo(transport);
    for (const { address, message } of requests) {
      await peer.until(() => peer.credit(address) > 0);
      peer.send(address, message);
    }
    await peer.until(() => peer.received.length >= answers.length && told.length === 5);
    const mine = peer.received.map(shape).map(withoutTraceback).toSorted(byText);
    assert.deepEqual(mine, answers.map(shape).map(withoutTraceback).toSorted(byText));
    assert.deepEqual(told.toSorted(), ['ev.messaging', 'ev.messagingv2', 'note f', 'note t', 'note t']);
    await stop();
    await transport.close();
    await peer.stop();
  });
}

/** The calls, casts and notifications of the captured program. */
async function sendAsOslo(
  transport: Transport,
  peer: ScriptedPeer,
  answers: readonly Captured[],
): Promise<readonly Captured[]> {
  const client = rpcClient(transport, { topic: 'golden' }, { timeoutMs: 10_000 });
  const answered = async (call: Promise<unknown>, count: number): Promise<unknown> => {
    const before = peer.received.length;
    await peer.until(() => peer.received.length > before);
    const { message_id: id, reply_to: to } = peer.received.at(-1)?.message ?? {};
    for (const { message } of answers.slice(taken, (taken += count))) {
      peer.send(String(to), { ...message, correlation_id: id });
    }
    return call;
  };
  let taken = 0;
  const echo = client.call('echo', { a: 1, u: 'ž☃' }, { context: { user: 'alice' } });
  assert.deepEqual(await answered(echo, 1), { a: 1, u: 'ž☃' });
  const named = client.prepare({ server: 'server1', version: '1.0' }).call('echo', { a: 2 });
  assert.deepEqual(await answered(named, 1), { a: 2 });
  await assert.rejects(answered(client.call('boom'), 1), { code: 'REMOTE_ERROR', message: 'ValueError: bad' });
  const slow = client.prepare({ callMonitorTimeoutMs: 2_000 }).call('slow', { seconds: 2.5 });
  assert.equal(await answered(slow, 3), 'slept');
  await client.cast('note', { text: 't' });
  await client.prepare({ server: 'server1' }).cast('note', { text: 't' });
  await client.prepare({ fanout: true }).cast('note', { text: 'f' });
  for (const [format, event] of [
    ['v1', 'ev.messaging'],
    ['v2', 'ev.messagingv2'],
  ] as const) {
    await notifier(transport, { publisherId: 'compute.host1', format }).info(event, { k: 1 });
  }
  return peer.received.map(({ address, message }) => ({
    address,
    message: { ...message, ttl: rounded(message['ttl']) },
  }));
}

/** Our timeout has begun to run when the message is made. */
function rounded(ttl: unknown): unknown {
  return typeof ttl === 'number' ? Math.ceil(ttl / 1_000) * 1_000 : ttl;
}

async function serveAsOslo(
  transport: Transport,
): Promise<{ readonly told: string[]; readonly stop: () => Promise<unknown> }> {
  const told: string[] = [];
  const methods = {
    echo: (args: unknown) => args,
    boom: (): never => {
      throw new RemoteFailure({ class: 'ValueError', module: 'builtins', message: 'bad' });
    },
    slow: ({ seconds }: Readonly<Record<string, unknown>>) =>
      new Promise((resolve) => transport.clock.after(Number(seconds) * 1_000, () => resolve('slept'))),
    note: ({ text }: Readonly<Record<string, unknown>>) => void told.push(`note ${String(text)}`),
  };
  const server = rpcServer(transport, { topic: 'golden', server: 'server1' }, [{ methods }]);
  const info = ({ eventType }: Notification): void => void told.push(eventType);
  const listener = notificationListener(transport, [{ topic: 'notifications' }], [{ info }]);
  await Promise.all([server.start(), listener.start()]);
  return { told, stop: () => Promise.all([server.stop(), listener.stop()]) };
}

/** The lines of a traceback are Python's own, and the address of an answer is each program's. */
function withoutTraceback(answer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(answer, (name, value: unknown) => {
      if (name === 'address') return 'the address for answers';
      if (name !== 'failure') return value;
      const { tb: _, ...failure } = JSON.parse(String(value)) as Record<string, unknown>;
      return failure;
    }),
  );
}

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
