import { untyped } from '@torcello/amqp091';
import type { FieldTable, MethodNamed, OutgoingNamed } from '@torcello/amqp091';
import { AmqpError } from './amqp-error.js';
import type { ClientCapabilities } from './channel-scope.js';
import type { BrokerLimits } from './limits.js';
import { externalMechanism, mechanisms } from './sasl.js';
import { product, rabbitMqVersion, version } from './version.js';

/** Frames smaller than this make no sense (AMQP 0-9-1 §4.2.3). */
const frameSizeBytesLeast = 4096;

/** What both sides agreed on in `connection.tune-ok`. */
export interface Tuning {
  readonly channelsMax: number;
  readonly frameSizeBytesMax: number;
  /** 0: no heartbeats. */
  readonly heartbeatMs: number;
}

/** What the broker's first word depends on. */
export interface Introduction {
  /** Whether the client proved who it is before the login. */
  readonly hasCertificate: boolean;
  /** Whether the broker gives the name and the version of the RabbitMQ whose interface it has. */
  readonly asRabbitMq: boolean;
}

/** The broker's first word: what it is and can do, in RabbitMQ's names of capabilities. */
export function startMethod({ hasCertificate, asRabbitMq }: Introduction): OutgoingNamed<'connection.start'> {
  return {
    name: 'connection.start',
    versionMajor: 0,
    versionMinor: 9,
    serverProperties: {
      product: asRabbitMq ? 'RabbitMQ' : product,
      version: asRabbitMq ? rabbitMqVersion : version,
      platform: 'Node.js',
      copyright: 'the authors of Torcello',
      information: 'Licensed under the Apache License 2.0. One node, no replication.',
      capabilities: {
        publisher_confirms: true,
        exchange_exchange_bindings: true,
        'basic.nack': true,
        consumer_cancel_notify: true,
        'connection.blocked': true,
        consumer_priorities: true,
        authentication_failure_close: true,
        per_consumer_qos: true,
        direct_reply_to: true,
      },
    },
    mechanisms: (hasCertificate ? [externalMechanism, ...mechanisms] : mechanisms).join(' '),
    locales: 'en_US',
  };
}

export function tuneMethod(limits: BrokerLimits): OutgoingNamed<'connection.tune'> {
  return {
    name: 'connection.tune',
    channelMax: limits.channelsPerConnectionMax,
    frameMax: limits.frameSizeBytesMax,
    heartbeat: Math.round(limits.heartbeatMs / 1000),
  };
}

/** A client may lower what was proposed and no more; 0 means "as proposed". @throws NOT_ALLOWED. */
export function agreeOn(limits: BrokerLimits, method: MethodNamed<'connection.tune-ok'>): Tuning {
  const { channelsPerConnectionMax, frameSizeBytesMax } = limits;
  if (method.channelMax > channelsPerConnectionMax)
    throw refused('channel_max', method.channelMax, channelsPerConnectionMax);
  if (method.frameMax > frameSizeBytesMax) throw refused('frame_max', method.frameMax, frameSizeBytesMax);
  if (method.frameMax !== 0 && method.frameMax < frameSizeBytesLeast) {
    throw new AmqpError(
      'NOT_ALLOWED',
      `negotiated frame_max = ${method.frameMax} is lower than ${frameSizeBytesLeast}`,
    );
  }
  return {
    channelsMax: method.channelMax === 0 ? channelsPerConnectionMax : method.channelMax,
    frameSizeBytesMax: method.frameMax === 0 ? frameSizeBytesMax : method.frameMax,
    heartbeatMs: method.heartbeat * 1000,
  };
}

export function clientCapabilities(clientProperties: FieldTable): ClientCapabilities {
  const table = clientProperties['capabilities'];
  const has = (name: string): boolean =>
    typeof table === 'object' && table !== null && untyped((table as FieldTable)[name]) === true;
  return {
    consumerCancelNotify: has('consumer_cancel_notify'),
    connectionBlocked: has('connection.blocked'),
    authenticationFailureClose: has('authentication_failure_close'),
  };
}

function refused(what: string, asked: number, most: number): AmqpError {
  return new AmqpError(
    'NOT_ALLOWED',
    `negotiated ${what} = ${asked} is higher than the maximum allowed value (${most})`,
  );
}
