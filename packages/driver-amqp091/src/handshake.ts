import type { FieldTable, Frame, Method, MethodNamed, MethodName } from '@torcello/amqp091';
import { MessagingError } from '@torcello/messaging';
import { connectionClosed, connectionLost } from './broker-errors.js';
import type { FrameStream } from './frame-stream.js';
import { driverLimits } from './limits.js';
import { saslResponse } from './sasl.js';
import type { LoginMethod } from './settings.js';

export interface HandshakeSettings {
  readonly username: string;
  readonly password: string;
  readonly login: LoginMethod;
  readonly vhost: string;
  readonly frameSizeBytesMax: number;
  /** 0 asks for none. */
  readonly heartbeatSeconds: number;
  readonly connectionName: string | undefined;
}

/** What both sides agreed on. */
export interface Agreement {
  readonly serverProperties: FieldTable;
  readonly frameSizeBytesMax: number;
  readonly channelsMax: number;
  /** 0: none. */
  readonly heartbeatSeconds: number;
}

/**
 * Opens an AMQP connection on a fresh stream (§2.2.4): header, start, tune, open.
 * @throws MessagingError LOGIN_REFUSED, CONNECT_FAILED (another protocol, no common login method), CONNECTION_LOST,
 *   PROTOCOL_ERROR.
 */
export async function handshake(stream: FrameStream, settings: HandshakeSettings): Promise<Agreement> {
  stream.writer.protocolHeader();
  stream.flush();
  const start = await nextMethod(stream, 'connection.start');
  answerStart(stream, start, settings);
  const tune = await login(stream, nextMethod(stream, 'connection.tune'), start);
  const agreed = agree(tune, settings);
  stream.writer.method(0, {
    name: 'connection.tune-ok',
    channelMax: agreed.channelsMax,
    frameMax: agreed.frameSizeBytesMax,
    heartbeat: agreed.heartbeatSeconds,
  });
  stream.writer.method(0, { name: 'connection.open', virtualHost: settings.vhost });
  stream.writer.frameSizeBytesMax = agreed.frameSizeBytesMax;
  stream.reader.frameSizeBytesMax = agreed.frameSizeBytesMax;
  stream.flush();
  await nextMethod(stream, 'connection.open-ok');
  return { ...agreed, serverProperties: start.serverProperties };
}

/** How we introduce ourselves; the capabilities are RabbitMQ's extensions that this driver understands. */
export function clientProperties(connectionName: string | undefined): FieldTable {
  return {
    product: 'Torcello',
    platform: 'Node.js',
    ...(connectionName === undefined ? {} : { connection_name: connectionName }),
    capabilities: {
      authentication_failure_close: true,
      'basic.nack': true,
      'connection.blocked': true,
      consumer_cancel_notify: true,
      exchange_exchange_bindings: true,
      publisher_confirms: true,
    },
  };
}

function answerStart(stream: FrameStream, start: MethodNamed<'connection.start'>, settings: HandshakeSettings): void {
  const offered = start.mechanisms.split(' ');
  if (!offered.includes(settings.login)) {
    const details = { offered, wanted: settings.login };
    throw new MessagingError('LOGIN_REFUSED', `the broker does not offer login by ${settings.login}`, { details });
  }
  stream.writer.method(0, {
    name: 'connection.start-ok',
    clientProperties: clientProperties(settings.connectionName),
    mechanism: settings.login,
    response: saslResponse(settings.login, settings),
    locale: 'en_US',
  });
  stream.flush();
}

/** A broker without `authentication_failure_close` answers a wrong password by hanging up. */
async function login<T>(stream: FrameStream, tuned: Promise<T>, start: MethodNamed<'connection.start'>): Promise<T> {
  try {
    return await tuned;
  } catch (error) {
    const { capabilities } = start.serverProperties as { capabilities?: { authentication_failure_close?: unknown } };
    const tellsWhy = capabilities?.authentication_failure_close === true;
    if (tellsWhy || !(error instanceof MessagingError) || error.code !== 'CONNECTION_LOST') throw error;
    throw new MessagingError('LOGIN_REFUSED', 'the broker hung up on the login', { cause: error });
  }
}

function agree(tune: MethodNamed<'connection.tune'>, settings: HandshakeSettings): Omit<Agreement, 'serverProperties'> {
  const { heartbeatSeconds } = settings;
  return {
    frameSizeBytesMax: lower(tune.frameMax, settings.frameSizeBytesMax),
    channelsMax: lower(tune.channelMax, driverLimits.channelsMax),
    heartbeatSeconds: heartbeatSeconds === 0 ? 0 : lower(tune.heartbeat, heartbeatSeconds),
  };
}

/** 0 from the broker means: no limit of mine. */
function lower(offered: number, wanted: number): number {
  return offered === 0 ? wanted : Math.min(offered, wanted);
}

async function nextMethod<N extends MethodName>(stream: FrameStream, name: N): Promise<MethodNamed<N>> {
  for (;;) {
    const frame = await nextFrame(stream);
    if (frame.type === 'heartbeat') continue;
    if (frame.type === 'protocolHeader') throw otherVersion(frame.bytes);
    if (frame.type === 'method' && isNamed(frame.method, name)) return frame.method;
    if (frame.type === 'method' && frame.method.name === 'connection.close') throw refusal(stream, frame.method);
    throw new MessagingError('PROTOCOL_ERROR', `the broker did not answer with ${name}`);
  }
}

function isNamed<N extends MethodName>(method: Method, name: N): method is Method & MethodNamed<N> {
  return method.name === name;
}

function nextFrame(stream: FrameStream): Promise<Frame> {
  return new Promise((resolve, reject) => {
    stream.listen({
      onFrame: (frame) => {
        stream.listen(undefined);
        resolve(frame);
      },
      onEnd: reject,
    });
  });
}

const refusedLogin: ReadonlySet<number> = new Set([402, 403, 530]);

function refusal(stream: FrameStream, close: MethodNamed<'connection.close'>): MessagingError {
  stream.writer.method(0, { name: 'connection.close-ok' });
  stream.flush();
  const { replyCode, replyText } = close;
  if (!refusedLogin.has(replyCode)) return connectionClosed(close);
  const details = { replyCode, replyText };
  return new MessagingError('LOGIN_REFUSED', `the broker refused the login: ${replyText}`, { details });
}

function otherVersion(bytes: Uint8Array): MessagingError {
  const spoken = Buffer.from(bytes).toString('latin1', 0, 4);
  const numbers = Array.from(bytes.subarray(4)).join('-');
  const cause = connectionLost(`it speaks ${JSON.stringify(spoken)} ${numbers}`);
  return new MessagingError('CONNECT_FAILED', 'the server does not speak AMQP 0-9-1', { cause });
}
